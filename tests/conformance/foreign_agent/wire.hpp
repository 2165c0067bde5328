#pragma once

// Messages of the control link and the air link: types, framing and sockets (protocol/SPEC.md 1.4, 2 and 3).
//
// Whatever breaks section 3 is thrown as `Broken`, with its clause. Numbers in comments are clauses of the text.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <regex>
#include <zmq.hpp>
#include <zmq_addon.hpp>

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "arrays are little-endian (3.8)");

namespace nearfield {

using nlohmann::json;
constexpr std::int64_t largest = INT64_MAX;  // of counts and epochs (1.4)
constexpr double infinity = std::numeric_limits<double>::infinity();

struct Broken { std::string clause, text; };  // a rule that a message or a request breaks

struct Message {
  std::string type;
  json fields = json::object();
  json arrays = json::array();
  std::vector<std::string> frames{};  // of the arrays
  std::int64_t session = 0, seq = 0, ack = 0;
};

inline std::string shown(const json& value) {  // for texts of refusals: short and ASCII
  return value.dump(-1, ' ', true, json::error_handler_t::replace).substr(0, 200);
}

// ---- types of header values (1.4) and the messages of sections 4 to 8

inline bool integer_in(const json& x, std::int64_t low, std::int64_t high) {
  if (!x.is_number_integer() || (x.is_number_unsigned() && x.get<std::uint64_t>() > largest)) return false;
  return low <= x.get<std::int64_t>() && x.get<std::int64_t>() <= high;
}

inline bool float_in(const json& x, double above, double high) {
  return x.is_number() && std::isfinite(x.get<double>()) && above < x.get<double>() && x.get<double>() <= high;
}

inline bool matches(const json& x, const char* pattern) {
  const bool brief = x.is_string() && x.get_ref<const std::string&>().size() <= 64;
  return brief && std::regex_match(x.get<std::string>(), std::regex(pattern));
}

inline bool is_integer(const json& x) { return x.is_number_integer(); }
inline bool is_epoch(const json& x) { return integer_in(x, 1, largest); }
inline bool is_count(const json& x) { return integer_in(x, 0, largest); }
inline bool is_groups(const json& x) { return integer_in(x, 1, 65536); }
inline bool is_deviation(const json& x) { return x == 0 || float_in(x, 0, infinity); }
inline bool is_heartbeat(const json& x) { return float_in(x, 0, 60); }
inline bool is_liveness(const json& x) { return float_in(x, 0, 600); }
inline bool is_flag(const json& x) { return x.is_boolean(); }
inline bool is_map(const json& x) { return x.is_object(); }
inline bool is_list(const json& x) { return x.is_array(); }
inline bool is_name(const json& x) { return matches(x, "[a-z0-9][a-z0-9-]{0,31}"); }
inline bool is_kind(const json& x) { return matches(x, "peak|group|power|complex"); }
inline bool is_clause(const json& x) { return matches(x, "[0-9]{1,2}\\.[0-9]{1,2}"); }
inline bool is_digest(const json& x) { return matches(x, "[0-9a-f]{64}"); }
inline bool is_versions(const json& x) {
  return x.is_array() && !x.empty() && x.size() <= 16 && std::all_of(x.begin(), x.end(), is_integer);
}
inline bool is_text(const json& x) {  // characters are code points
  if (!x.is_string()) return false;
  const auto& text = x.get_ref<const std::string&>();
  return std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }) <= 1024;
}

struct Field { std::string name; bool (*fits)(const json&); bool optional = false; };
struct Array { std::string name, dtype; std::size_t n_axes; };
struct Rule { bool sequenced; std::vector<Field> fields; std::vector<Array> arrays = {}; };

const std::map<std::string, Rule> rules = {
    {"hello", {false, {{"name", is_name}, {"versions", is_versions}, {"software", is_text}, {"digest", is_digest},
                       {"facts", is_map}, {"capabilities", is_map}}}},
    {"welcome", {false, {{"version", is_integer}, {"heartbeat_s", is_heartbeat}, {"liveness_s", is_liveness}}}},
    {"heartbeat", {false, {{"progress", is_count}}}},
    {"acknowledge", {false, {}}},
    {"refusal", {false, {{"clause", is_clause}, {"text", is_text}, {"final", is_flag, true}}}},
    {"bye", {false, {{"reason", is_text}}}},
    {"declined", {true, {{"epoch", is_epoch}, {"clause", is_clause}, {"text", is_text}}}},
    {"configure", {true, {{"epoch", is_epoch}, {"groups_per_pilot", is_groups}},
                   {{"phase_cycles", "<f8", 2}, {"delay_s", "<f8", 2}}}},
    {"ready", {true, {{"epoch", is_epoch}, {"pilots", is_groups}, {"phase_deviation_cycles", is_deviation},
                      {"delay_deviation_s", is_deviation}}}},
    {"capture", {true, {{"epoch", is_epoch}, {"ue", is_name}}}},
    {"snapshot", {true, {{"epoch", is_epoch}}, {{"samples", "<c8", 2}}}},
    {"measure", {true, {{"epoch", is_epoch}, {"kind", is_kind}, {"groups", is_groups}}}},
    {"peak_report", {true, {{"epoch", is_epoch}, {"subcarrier", is_count}}}},
    {"group_report", {true, {{"epoch", is_epoch}, {"group", is_count}}}},
    {"power_report", {true, {{"epoch", is_epoch}}, {{"power_w", "<f8", 1}}}},
    {"complex_report", {true, {{"epoch", is_epoch}}, {{"samples", "<c8", 1}}}},
    {"listen", {false, {{"ue", is_name}, {"epoch", is_epoch}}}},
    {"grid", {false, {{"epoch", is_epoch}}, {{"samples", "<c16", 1}}}},
    {"silence", {false, {{"epoch", is_epoch}, {"text", is_text}}}}};

// ---- framing (3)

// Builds the header while it enforces the limits of 3.1, before memory is taken (10.3). Methods tell whether to go on.
class HeaderReader : public json::json_sax_t {
 public:
  json header;

  bool null() override { return put(nullptr); }
  bool boolean(bool value) override { return put(value); }
  bool number_integer(json::number_integer_t value) override { return put(value); }
  bool number_unsigned(json::number_unsigned_t value) override { return put(value); }
  bool number_float(json::number_float_t value, const std::string&) override { return put(value); }
  bool string(std::string& value) override { return legal(value) && put(value); }
  bool binary(json::binary_t& value) override { return value.empty() && !value.has_subtype() && put(value); }
  bool start_object(std::size_t n) override { return n <= 64 && start(json::object()); }
  bool start_array(std::size_t n) override { return n <= 64 && !open_.empty() && start(json::array()); }
  bool end_object() override { return open_.pop_back(), true; }
  bool end_array() override { return open_.pop_back(), true; }
  bool key(std::string& value) override { return legal(key_ = value) && !open_.back()->contains(key_); }
  bool parse_error(std::size_t, const std::string&, const json::exception&) override { return false; }

 private:
  std::vector<json*> open_;
  std::string key_;

  static bool legal(const std::string& text) try {
    return text.size() <= 4096 && !json(text).dump().empty();  // dump() throws unless the text is UTF-8
  } catch (const json::type_error&) {
    return false;
  }

  json& place(json value) {
    if (open_.empty()) return header = std::move(value);
    if (open_.back()->is_array()) return open_.back()->emplace_back(std::move(value));
    return (*open_.back())[key_] = std::move(value);
  }
  bool put(json value) { return !open_.empty() && (place(std::move(value)), true); }
  bool start(json value) {  // the header itself is level 0, `fields` is level 1
    if (open_.size() > 8) return false;
    open_.push_back(&place(std::move(value)));
    return true;
  }
};

inline bool finite(const json& x) {
  if (x.is_structured()) return std::all_of(x.begin(), x.end(), finite);
  return !x.is_number_float() || std::isfinite(x.get<double>());
}

template <typename Number>
inline bool finite(const std::string& frame) {
  for (std::size_t at = 0; at < frame.size(); at += sizeof(Number)) {
    Number value;
    std::memcpy(&value, frame.data() + at, sizeof value);
    if (!std::isfinite(value)) return false;
  }
  return true;
}

inline bool has_length(const json& dimensions, std::size_t item, std::size_t length) {  // 3.7, without overflow
  for (const auto& dimension : dimensions) {
    item *= dimension.get<std::size_t>();
    if (item > length) return false;
  }
  return item == length;
}

inline void check_array(const Array& rule, const json& given, const std::string& frame) {
  if (!given.is_array() || given.size() != 3 || given[0] != rule.name)
    throw Broken{"3.6", "expected array " + rule.name + ", got " + shown(given)};
  const auto is_dimension = [](const json& x) { return integer_in(x, 1, std::int64_t{1} << 31); };
  if (given[1] != rule.dtype || !given[2].is_array() || given[2].size() != rule.n_axes ||
      !std::all_of(given[2].begin(), given[2].end(), is_dimension))
    throw Broken{"3.8", "expected another dtype or other axes than " + shown(given)};
  if (!has_length(given[2], rule.dtype == "<c16" ? 16 : 8, frame.size()))
    throw Broken{"3.7", "expected a frame for " + shown(given) + ", got " + std::to_string(frame.size()) + " bytes"};
  if (!(rule.dtype == "<c8" ? finite<float>(frame) : finite<double>(frame)))
    throw Broken{"3.9", "expected finite values in " + rule.name};
}

inline void check_keys(const json& map, const std::vector<Field>& fields) {
  for (const auto& field : fields) {
    if (!map.contains(field.name) && field.optional) continue;
    if (!map.contains(field.name) || !field.fits(map[field.name]))
      throw Broken{"3.4", "expected a legal " + field.name + ", got " + shown(map)};
  }
  for (const auto& item : map.items())
    if (std::none_of(fields.begin(), fields.end(), [&](const Field& field) { return field.name == item.key(); }))
      throw Broken{"3.4", "expected no key " + shown(item.key())};
}

inline bool is_type(const json& x) { return x.is_string() && rules.count(x.get<std::string>()); }

inline void check_header(const json& header) {
  static const std::vector<Field> keys = {{"v", is_count}, {"type", is_type}, {"session", is_count}, {"seq", is_count},
                                          {"ack", is_count}, {"fields", is_map}, {"arrays", is_list}};
  if (!header.contains("v") || !integer_in(header["v"], 1, 1)) throw Broken{"3.2", "expected v 1"};
  if (!header.contains("type") || !is_type(header["type"])) throw Broken{"3.3", "expected a type of version 1"};
  check_keys(header, keys);
  if (!finite(header["fields"])) throw Broken{"3.5", "expected finite numbers in fields"};
}

inline Message message_from_frames(std::vector<std::string> frames) {
  HeaderReader reader;
  const bool short_enough = frames.size() <= 5 && frames[0].size() <= 8192;
  if (!short_enough || !json::sax_parse(frames[0], &reader, json::input_format_t::msgpack))
    throw Broken{"3.1", "expected 1 to 5 frames, the first one a msgpack map within the limits"};
  const json& header = reader.header;
  check_header(header);
  const Rule& rule = rules.at(header["type"]);
  check_keys(header["fields"], rule.fields);
  if (header["arrays"].size() != rule.arrays.size() || frames.size() != 1 + rule.arrays.size())
    throw Broken{"3.6", "expected " + std::to_string(rule.arrays.size()) + " arrays, each with a frame"};
  for (std::size_t i = 0; i < rule.arrays.size(); ++i) check_array(rule.arrays[i], header["arrays"][i], frames[i + 1]);
  frames.erase(frames.begin());
  return {header["type"],    header["fields"], header["arrays"], std::move(frames),
          header["session"], header["seq"],    header["ack"]};
}

inline bool looks_like_refusal(const std::string& header) {  // also where the header breaks 3.1 (9.2)
  for (auto at = header.find("type"); at != std::string::npos; at = header.find("type", at + 1))
    if (header.substr(at + 4, 12).find("refusal") != std::string::npos) return true;
  return false;
}

// ---- sockets (2)

inline void check_endpoint(const std::string& endpoint, bool insecure) {
  if (endpoint.rfind("ipc://", 0) == 0) {
    if (endpoint.size() < 7 || endpoint.size() > 6 + 107 || endpoint[6] == '@')
      throw std::invalid_argument("2.2: expected a path of 1 to 107 bytes, not abstract, got " + endpoint);
    return;
  }
  if (!std::regex_match(endpoint, std::regex("tcp://[^;/]+:[0-9]{1,5}")))
    throw std::invalid_argument("2.2: expected tcp://host:port or ipc://path, got " + endpoint);
  const std::regex loopback("tcp://(127(\\.[0-9]{1,3}){3}|localhost|\\[::1\\]):[0-9]+");
  if (!insecure && !std::regex_match(endpoint, loopback))
    throw std::invalid_argument("2.3: expected a loopback address or --insecure, got " + endpoint);
}

inline zmq::socket_t dealer(zmq::context_t& context, const std::string& endpoint, std::int64_t max_frame_bytes) {
  zmq::socket_t socket(context, zmq::socket_type::dealer);
  socket.set(zmq::sockopt::immediate, true);  // 2.1
  socket.set(zmq::sockopt::heartbeat_ivl, 3000);
  socket.set(zmq::sockopt::heartbeat_timeout, 3000);
  socket.set(zmq::sockopt::maxmsgsize, max_frame_bytes);  // 2.4
  socket.set(zmq::sockopt::linger, 0);
  socket.set(zmq::sockopt::ipv6, endpoint.find('[') != std::string::npos);
  socket.connect(endpoint);
  return socket;
}

inline bool sent(zmq::socket_t& socket, const Message& message) {
  const json header = {{"v", 1}, {"type", message.type}, {"session", message.session}, {"seq", message.seq},
                       {"ack", message.ack}, {"fields", message.fields}, {"arrays", message.arrays}};
  const std::vector<std::uint8_t> packed = json::to_msgpack(header);
  std::vector<zmq::const_buffer> parts = {zmq::buffer(packed)};
  for (const auto& frame : message.frames) parts.push_back(zmq::buffer(frame));
  return zmq::send_multipart(socket, parts, zmq::send_flags::dontwait).has_value();
}

inline std::optional<std::vector<std::string>> received(zmq::socket_t& socket) {
  std::vector<std::string> frames;
  zmq::message_t part;
  do {
    if (!socket.recv(part, zmq::recv_flags::dontwait)) return std::nullopt;
    if (frames.size() < 6) frames.push_back(part.to_string());  // the sixth is one too many (3.1)
  } while (part.more());
  return frames;
}

}  // namespace nearfield
