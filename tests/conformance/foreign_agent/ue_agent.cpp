// UE receiver for the control link and the air link, version 1: one process, one poll loop, two DEALERs.
//
// It refuses what protocol/SPEC.md refuses, by clause, and never a refusal. Numbers in comments are its clauses.
// Exit status: 0 after SIGTERM or SIGINT, 1 after a final refusal, 2 if it cannot start.

#include <sodium.h>
#include <sys/signalfd.h>

#include <charconv>
#include <complex>
#include <csignal>
#include <fstream>

#include "control_link.hpp"

namespace {

using namespace nearfield;
using Samples = std::vector<std::complex<double>>;

// ---- measuring (sections 5, 7 and 8)

struct Request { std::int64_t session, epoch; std::string kind; std::size_t n_groups; };

template <typename Number>
Message array_report(const char* type, const char* name, const char* dtype, const std::vector<Number>& values) {
  const std::string frame(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(Number));
  return {type, {}, json::array({json::array({name, dtype, json::array({values.size()})})}), {frame}};
}

Message index_report(const std::string& type, const std::string& field, const std::vector<double>& values) {
  const auto largest_value = std::max_element(values.begin(), values.end());  // the lowest of equals
  return {type, {{field, largest_value - values.begin()}}};
}

Message report(const Request& request, const Samples& y) {
  std::vector<double> amplitude, power_w, sums(request.n_groups);
  for (const auto& sample : y) amplitude.push_back(std::abs(sample)), power_w.push_back(std::norm(sample));
  if (request.kind == "peak") return index_report("peak_report", "subcarrier", amplitude);  // 7.2
  if (request.kind == "power") return array_report("power_report", "power_w", "<f8", power_w);  // 7.4
  if (request.kind == "complex") {  // 7.5
    const std::vector<std::complex<float>> single(y.begin(), y.end());
    return array_report("complex_report", "samples", "<c8", single);
  }
  for (std::size_t m = 0; m < y.size(); ++m) sums[m / (y.size() / request.n_groups)] += amplitude[m];
  return index_report("group_report", "group", sums);  // 7.3
}

bool representable(const Message& report) {  // 3.9: a finite sample can overflow when squared or rounded to float32
  if (report.frames.empty()) return true;
  return report.type == "complex_report" ? finite<float>(report.frames[0]) : finite<double>(report.frames[0]);
}

class Receiver {
 public:
  Receiver(ControlLink& link, std::function<zmq::socket_t()> connect, std::string name, std::set<std::string> kinds,
           std::size_t n_subcarriers)
      : link_(link), connect_(std::move(connect)), name_(std::move(name)), kinds_(std::move(kinds)),
        n_subcarriers_(n_subcarriers) {}

  zmq::socket_t& socket() { return air_; }

  void measure(const Message& message) {
    if (message.session != session_) answers_.clear(), pending_.reset(), session_ = message.session;  // 5.1
    const auto& fields = message.fields;
    const Request request{session_, fields["epoch"], fields["kind"], fields["groups"]};
    if (repeated(request)) return;
    if (pending_ && request.epoch < pending_->epoch) return decline(request, "5.3", "a newer epoch is being measured");
    pending_.reset();  // 7.1: the newer one replaces it
    if (!kinds_.count(request.kind)) return decline(request, "7.1", "this kind is not advertised: " + request.kind);
    if (request.kind == "group" && n_subcarriers_ % request.n_groups != 0)
      return decline(request, "7.3", std::to_string(request.n_groups) + " groups do not divide the subcarriers");
    pending_ = request;
    heard_s_ = now_s();
    due_s_ = 0;
    wait_s_ = 0.05;
  }

  void tick() {  // 8.1
    const double now = now_s();
    if (!pending_ || now < due_s_ || !link_.in_session(pending_->session)) return;
    if (now - heard_s_ > patience_s_) {  // libzmq never reconnects after a protocol error
      air_ = connect_();
      heard_s_ = now;
      patience_s_ = std::min(12.0, 2 * patience_s_);
    }
    sent(air_, {"listen", {{"ue", name_}, {"epoch", pending_->epoch}}});
    due_s_ = now + wait_s_;
    wait_s_ = std::min(0.8, 2 * wait_s_);
  }

  void receive() {
    for (int i = 0; i < 200; ++i) {
      auto frames = received(air_);
      if (!frames) return;
      try {
        hear(message_from_frames(std::move(*frames)));
      } catch (const Broken& broken) {  // what cannot be decoded is dropped
        note("dropped on the air link by " + broken.clause + ": " + broken.text);
      }
    }
  }

 private:
  struct Answer { Request request; Message message; };

  ControlLink& link_;
  std::function<zmq::socket_t()> connect_;
  zmq::socket_t air_ = connect_();
  std::string name_;
  std::set<std::string> kinds_;
  std::size_t n_subcarriers_;
  std::int64_t session_ = 0;
  std::optional<Request> pending_;
  std::deque<Answer> answers_;  // the last 16; 5.2 asks for 8
  double due_s_ = 0, wait_s_ = 0.05, heard_s_ = 0, patience_s_ = 3;

  static void check_same(const Request& a, const Request& b) {
    if (a.kind != b.kind || a.n_groups != b.n_groups)
      throw Broken{"5.1", "expected a new epoch for a different request, got " + std::to_string(a.epoch)};
  }

  bool repeated(const Request& request) {  // 5.2
    for (const auto& answer : answers_) {
      if (answer.request.epoch != request.epoch) continue;
      check_same(answer.request, request);
      link_.answer(answer.message);
      return true;
    }
    if (!pending_ || pending_->epoch != request.epoch) return false;
    check_same(*pending_, request);
    return true;
  }

  void answer(const Request& request, Message message) {
    message.fields["epoch"] = request.epoch;
    answers_.push_back({request, message});
    if (answers_.size() > 16) answers_.pop_front();
    link_.answer(std::move(message));
  }

  void decline(const Request& request, const std::string& clause, const std::string& text) {  // 5.4
    answer(request, {"declined", {{"clause", clause}, {"text", text}}});
  }

  void hear(const Message& message) {
    if (message.session != 0 || message.seq != 0 || message.ack != 0) throw Broken{"3.4", "expected 0 on the air link"};
    heard_s_ = now_s();
    patience_s_ = 3;
    const bool awaited = pending_ && message.type == "grid" && message.fields["epoch"] >= pending_->epoch;
    if (!awaited || !link_.in_session(pending_->session)) return;
    Samples y(message.frames[0].size() / sizeof(Samples::value_type));
    if (y.size() != n_subcarriers_) return note("dropped a grid of " + std::to_string(y.size()) + " subcarriers");
    std::memcpy(y.data(), message.frames[0].data(), message.frames[0].size());
    const Request request = *pending_;
    pending_.reset();
    if (message.fields["epoch"] > request.epoch) return decline(request, "5.3", "the air carries a newer epoch");
    const Message result = report(request, y);
    if (!representable(result)) return decline(request, "3.9", "the report would not be finite");
    answer(request, result);
  }
};

// ---- facts and their digest (4.4)

const std::map<std::string, bool> facts_are_whole = {
    {"/downlink/grid/first_hz", false}, {"/downlink/grid/spacing_hz", false}, {"/downlink/grid/count", true},
    {"/downlink/array/elements", true}, {"/downlink/array/spacing_m", false}, {"/downlink/array/subarrays", true},
    {"/uplink/grid/first_hz", false}, {"/uplink/grid/spacing_hz", false}, {"/uplink/grid/count", true},
    {"/uplink/array/elements", true}, {"/uplink/array/radius_m", false}, {"/uplink/array/half_sector_rad", false},
    {"/region/range_min_m", false}, {"/region/range_max_m", false}, {"/region/angle_min_rad", false},
    {"/region/angle_max_rad", false}, {"/speed_of_light_m_s", false}};

json facts_from_file(const std::string& path) {
  std::ifstream file(path);
  const json given = json::parse(file);
  json facts;
  for (const auto& [fact, whole] : facts_are_whole) {
    const json& value = given.at(json::json_pointer(fact));
    if (whole ? !is_groups(value) : !value.is_number()) throw std::invalid_argument("4.4: wrong type of " + fact);
    facts[json::json_pointer(fact)] = whole ? value : json(value.get<double>());
  }
  if (given.flatten().size() != facts_are_whole.size()) throw std::invalid_argument("4.4: unknown facts in " + path);
  return facts;
}

std::string text_from_float(double x) {
  const bool plain = x == 0 || (1e-5 <= std::abs(x) && std::abs(x) < 1e16);
  char digits[64];
  const auto format = plain ? std::chars_format::fixed : std::chars_format::scientific;
  const std::string text(digits, std::to_chars(digits, digits + sizeof digits, x, format).ptr);
  if (plain) return text.find('.') == std::string::npos ? text + ".0" : text;
  return std::regex_replace(text, std::regex("e(-?)[+]?0*"), "e$1");
}

std::string canonical(const json& value) {
  if (value.is_number_float()) return text_from_float(value);
  if (!value.is_object()) return value.dump();
  std::string text;
  for (const auto& item : value.items())  // sorted by key
    text += (text.empty() ? "{\"" : ",\"") + item.key() + "\":" + canonical(item.value());
  return text + "}";
}

std::string digest(const json& facts) {
  const std::string text = canonical(facts);
  unsigned char hash[crypto_hash_sha256_BYTES];
  char hex[2 * sizeof hash + 1];
  crypto_hash_sha256(hash, reinterpret_cast<const unsigned char*>(text.data()), text.size());
  return sodium_bin2hex(hex, sizeof hex, hash, sizeof hash);
}

std::int64_t max_frame_bytes(const json& facts) {  // 2.4, with G = 1
  const auto elements = [&](const char* link) { return facts[link]["array"]["elements"].get<std::int64_t>(); };
  const auto subcarriers = [&](const char* link) { return facts[link]["grid"]["count"].get<std::int64_t>(); };
  return std::max<std::int64_t>({8192, 8 * elements("uplink") * subcarriers("uplink"), 16 * subcarriers("downlink"),
                                 8 * elements("downlink")});
}

// ---- command line

constexpr auto usage =
    "usage: ue_agent --control ENDPOINT --air ENDPOINT --name NAME --facts FILE [--kinds KIND,...] [--insecure]";

struct Options {
  std::string control, air, name, facts, kinds = "peak,group,power,complex";
  bool insecure = false;
};

Options options_from(const std::vector<std::string>& words) {
  Options options;
  const std::map<std::string, std::string*> values = {{"--control", &options.control}, {"--air", &options.air},
      {"--name", &options.name}, {"--facts", &options.facts}, {"--kinds", &options.kinds}};
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] == "--insecure") options.insecure = true;
    else if (values.count(words[i]) && i + 1 < words.size()) *values.at(words[i]) = words[i + 1], ++i;
    else throw std::invalid_argument(usage);
  }
  if (!is_name(options.name)) throw std::invalid_argument("1.4: expected a name, got " + options.name);
  check_endpoint(options.control, options.insecure);
  check_endpoint(options.air, options.insecure);
  return options;
}

std::set<std::string> kinds_from(const std::string& list) {
  std::set<std::string> kinds;
  std::istringstream words(list);
  for (std::string kind; std::getline(words, kind, ',');) {
    if (!is_kind(kind)) throw std::invalid_argument("1.4: expected a kind, got " + kind);
    kinds.insert(kind);
  }
  return kinds;
}

int signal_descriptor() {  // blocks the signals, so that they only end the poll
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  return signalfd(-1, &signals, SFD_CLOEXEC);
}

void serve(ControlLink& link, Receiver& receiver, int signals) {
  for (std::int64_t progress = 1;; ++progress) {
    std::vector<zmq::pollitem_t> items = {{nullptr, signals, ZMQ_POLLIN, 0},
                                          {receiver.socket().handle(), 0, ZMQ_POLLIN, 0}};
    if (link.socket()) items.push_back({link.socket().handle(), 0, ZMQ_POLLIN, 0});
    try {
      zmq::poll(items, std::chrono::milliseconds(20));
    } catch (const zmq::error_t& error) {
      if (error.num() != EINTR) throw;
    }
    if (items[0].revents) return link.leave("stopped by a signal");
    link.receive();
    receiver.tick();
    receiver.receive();
    link.tick(progress);
  }
}

int run(const Options& options) {
  const int signals = signal_descriptor();
  const json facts = facts_from_file(options.facts);
  const auto kinds = kinds_from(options.kinds);
  const json hello = {{"name", options.name}, {"versions", json::array({1})}, {"software", "foreign ue_agent 1"},
                      {"digest", digest(facts)}, {"facts", facts},
                      {"capabilities", {{"role", "ue"}, {"feedback_kinds", kinds}}}};
  zmq::context_t context;
  ControlLink link(context, options.control, max_frame_bytes(facts), hello);
  const auto connect = [&] { return dealer(context, options.air, max_frame_bytes(facts)); };
  Receiver receiver(link, connect, options.name, kinds, facts["downlink"]["grid"]["count"]);
  link.on_measure = [&](const Message& message) { receiver.measure(message); };
  serve(link, receiver, signals);
  return 0;
}

}  // namespace

int main(int argc, char** argv) try {
  if (zmq::version() < std::make_tuple(4, 3, 3)) throw std::runtime_error("2.1: expected libzmq 4.3.3 or newer");
  if (sodium_init() < 0) throw std::runtime_error("libsodium does not start");
  return run(options_from({argv + 1, argv + argc}));
} catch (const FinalRefusal& refusal) {
  note(refusal.what());
  return 1;
} catch (const std::exception& error) {
  note(error.what());
  return 2;
}
