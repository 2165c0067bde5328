#pragma once

// Sessions of a ue on the control link (SPEC 4 and 9): everything but what a `measure` asks for.
//
// Times are seconds of a steady clock. Numbers in comments are clauses of protocol/SPEC.md.

#include <chrono>
#include <deque>
#include <functional>
#include <iostream>
#include <random>
#include <set>

#include "wire.hpp"

namespace nearfield {

struct FinalRefusal : std::runtime_error { using std::runtime_error::runtime_error; };

inline double now_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

inline void note(const std::string& text) { std::cerr << text << std::endl; }

class ControlLink {
 public:
  ControlLink(zmq::context_t& context, std::string endpoint, std::int64_t max_frame_bytes, json hello)
      : context_(context), endpoint_(std::move(endpoint)), max_frame_bytes_(max_frame_bytes), hello_(std::move(hello)) {
    begin();
  }

  std::function<void(const Message&)> on_measure;
  zmq::socket_t& socket() { return socket_; }
  bool in_session(std::int64_t number) const { return state_ == State::open && number == number_; }

  void answer(Message message) {  // numbers and queues; `tick` sends
    message.seq = ++n_numbered_;
    queue_.push_back({std::move(message)});
    if (queue_.size() > 1024) close("the controller acknowledges nothing");
  }

  void receive() {  // a bounded batch, so that a flood does not keep the timers waiting
    for (int i = 0; i < 200 && state_ != State::closed; ++i) {
      auto frames = received(socket_);
      if (!frames) return;
      const bool refusal = looks_like_refusal(frames->front());
      std::optional<Message> message;
      try {
        message = message_from_frames(std::move(*frames));
      } catch (const Broken& broken) {
        if (!refusal) refuse(0, broken);
      }
      if (message) hear(*message);
    }
  }

  void tick(std::int64_t progress) {
    const double now = now_s();
    if (state_ == State::closed && now >= due_s_) begin();
    if (state_ == State::fresh && now >= give_up_s_) close("4.1: no welcome");
    if (state_ == State::fresh && now >= due_s_) due_s_ = now + (say({"hello", hello_}) ? 0.5 : 0.05);
    if (state_ == State::open && now - heard_s_ > liveness_s_) close("4.11: nothing heard");
    if (state_ != State::open) return;
    resend(now);
    if (now >= acknowledge_s_) say({"acknowledge"});
    if (now - said_s_ >= heartbeat_s_) say({"heartbeat", {{"progress", progress}}});  // 4.10
  }

  void leave(const std::string& reason) {  // 4.13
    if (state_ != State::open) return;
    socket_.set(zmq::sockopt::linger, 500);
    say({"bye", {{"reason", reason}}});
  }

 private:
  enum class State { closed, fresh, open };
  struct Queued { Message message; double due_s = 0, wait_s = 0.25; };  // due at 0: never sent

  zmq::context_t& context_;
  zmq::socket_t socket_;
  std::string endpoint_;
  std::int64_t max_frame_bytes_, number_ = 0, n_numbered_ = 0, n_received_ = 0, n_sent_ = 0;
  json hello_;
  State state_ = State::closed;
  std::deque<Queued> queue_;
  std::map<std::int64_t, Message> early_;
  std::minstd_rand random_{std::random_device{}()};
  double due_s_ = 0, give_up_s_ = 0, pause_s_ = 0.1, heard_s_ = 0, said_s_ = 0, second_s_ = 0;
  double acknowledge_s_ = infinity, heartbeat_s_ = 1, liveness_s_ = 1;

  void number_above(std::int64_t number) {  // 4.1: Unix time in microseconds, unless an earlier number was larger
    using std::chrono::microseconds, std::chrono::system_clock;
    const auto unix_time = std::chrono::duration_cast<microseconds>(system_clock::now().time_since_epoch());
    number_ = std::max<std::int64_t>(unix_time.count(), number + 1);
    due_s_ = 0;
    give_up_s_ = now_s() + 3;
  }

  void begin() {
    socket_ = dealer(context_, endpoint_, max_frame_bytes_);
    state_ = State::fresh;
    number_above(number_);
    n_numbered_ = n_received_ = 0;
    queue_.clear();
    early_.clear();
    acknowledge_s_ = infinity;
  }

  void close(const std::string& why) {  // a new one follows after a pause, short again once a session opens (4.1)
    const double now = now_s();
    if (state_ == State::open) pause_s_ = 0.1;
    due_s_ = now + pause_s_ * std::uniform_real_distribution<double>(0.5, 1.0)(random_);
    pause_s_ = std::min(2.0, 2 * pause_s_);
    socket_.close();
    state_ = State::closed;
    note("session " + std::to_string(number_) + " closed: " + why);
  }

  bool say(Message message) { return say(std::move(message), number_); }

  bool say(Message message, std::int64_t session) {
    const double now = now_s();
    if (now - second_s_ >= 1) second_s_ = now, n_sent_ = 0;
    if (++n_sent_ > 9000) return false;  // 2.6: below 20000 in every second, wherever it begins
    message.session = session;
    message.ack = session == number_ ? n_received_ : 0;
    if (!sent(socket_, message)) return false;
    if (session != number_) return true;
    said_s_ = now;
    acknowledge_s_ = infinity;
    return true;
  }

  void refuse(std::int64_t session, const Broken& broken) {
    if (n_sent_ < 100) note("refused by " + broken.clause + ": " + broken.text);
    if (state_ != State::open) return;  // 4.1: nothing but hello before welcome
    Message refusal{"refusal", {{"clause", broken.clause}, {"text", broken.text}}};
    say(std::move(refusal), session);
  }

  void resend(double now) {  // 4.7, 4.8
    for (std::size_t i = 0; i < std::min<std::size_t>(64, queue_.size()); ++i) {
      Queued& next = queue_[i];
      if (now < next.due_s) continue;
      if (!say(next.message)) return;
      next.due_s = now + next.wait_s;
      next.wait_s = std::min(2.0, 2 * next.wait_s);
    }
  }

  void hear(Message& message) {
    if (state_ == State::fresh) return hear_before_welcome(message);
    if (message.session != number_) return hear_foreign(message);
    const bool sequenced = rules.at(message.type).sequenced;
    if (sequenced != (message.seq > 0)) return refuse_numbering(message);
    heard_s_ = now_s();
    forget_until(message.ack);
    if (!sequenced) return deliver(message);
    acknowledge_s_ = std::min(acknowledge_s_, heard_s_ + 0.05);
    const bool in_window = message.seq > n_received_ && message.seq - n_received_ <= 64;  // 4.8
    if (in_window) early_.emplace(message.seq, std::move(message));
    while (state_ == State::open && early_.count(n_received_ + 1))  // 4.9
      deliver(early_.extract(++n_received_).mapped());
  }

  void forget_until(std::int64_t ack) {
    while (!queue_.empty() && queue_.front().due_s > 0 && queue_.front().message.seq <= ack) queue_.pop_front();
  }

  void hear_before_welcome(const Message& message) {
    if (message.type == "refusal") return hear_refusal_of_hello(message);
    const bool ours = message.session == number_ && message.seq == 0;
    if (!ours || message.type != "welcome") return note("4.9: not delivered before welcome: " + message.type);
    if (message.fields["version"] != 1) {
      say({"refusal", {{"clause", "4.2"}, {"text", "expected a welcome to version 1"}}});
      return;
    }
    heartbeat_s_ = message.fields["heartbeat_s"];
    liveness_s_ = message.fields["liveness_s"];
    heard_s_ = said_s_ = now_s();
    state_ = State::open;
    note("session " + std::to_string(number_) + " open");
  }

  void hear_refusal_of_hello(const Message& refusal) {
    if (refusal.session == number_) hear_final(refusal);
    note("hello refused: " + refusal.fields.dump());
    if (refusal.fields["clause"] != "4.5" || refusal.session < number_ || refusal.session == largest) return;
    number_above(refusal.session);  // at once, on the same socket
  }

  static void hear_final(const Message& refusal) {  // 4.14, 9.1
    const std::string clause = refusal.fields["clause"], text = refusal.fields["text"];
    if (refusal.fields.value("final", false)) throw FinalRefusal("refused finally by " + clause + ": " + text);
  }

  void hear_foreign(const Message& message) {
    if (message.type != "refusal") return note("4.1: dropped, of session " + std::to_string(message.session));
    note("refusal of session " + std::to_string(message.session) + ": " + message.fields.dump());
    const bool undecodable = message.session == 0 && message.fields["clause"].get<std::string>()[0] == '3';
    if (undecodable && !queue_.empty()) close("9.1: what was sent will never be acknowledged");
  }

  void refuse_numbering(const Message& message) {
    const Broken broken{"4.6", "expected another seq for " + message.type};
    if (message.type != "refusal") refuse(number_, broken);  // 9.2
  }

  void deliver(const Message& message) {  // what a ue hears in an open session (4.14)
    static const std::set<std::string> silent = {"welcome", "heartbeat", "acknowledge"};
    if (silent.count(message.type)) return;
    if (message.type == "bye") return close("bye: " + message.fields["reason"].dump());
    if (message.type == "refusal") return hear_refusal(message);
    try {
      if (message.type != "measure") throw Broken{"4.14", "a ue does not hear " + message.type};
      on_measure(message);
    } catch (const Broken& broken) {
      refuse(number_, broken);
    }
  }

  void hear_refusal(const Message& refusal) {
    hear_final(refusal);
    static const std::set<std::string> closing = {"4.12"};
    if (closing.count(refusal.fields["clause"])) return close("refused: " + refusal.fields.dump());
    note("refusal: " + refusal.fields.dump());
  }
};

}  // namespace nearfield
