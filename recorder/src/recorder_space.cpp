// How recorders share a disk: who waits for space, who seals to make some, and what is lost where there is none.
#include <spdlog/spdlog.h>

#include "sds/recorder/recorder_thread.hpp"

namespace sds {

namespace {

// For others to seal what they have open, when one that stops needs the space that this leaves.
constexpr std::chrono::seconds kPatience{3};
constexpr std::chrono::milliseconds kLookAgain{100};

// What waits is written into the log, and into a section later.
constexpr std::uint64_t kWrittenTwice = 2;
// Of a device that sends, in pieces as large as its largest of late: what is read from it when the disk is found full,
// and what came since it was looked at.
constexpr std::uint64_t kInHandPieces = kWrittenTwice * 2;

}  // namespace

bool RecorderThread::has_space(std::uint64_t needed) {
  const std::uint64_t free = gate_.free_bytes();
  const std::uint64_t unwritten = shared_.unwritten.used() + shared_.in_hand.used();
  shared_.room = free > unwritten ? free - unwritten : 0;
  return gate_.is_enough(free, needed);
}

void RecorderThread::expect_stop() {
  const std::lock_guard lock(shared_.stop_mutex);
  if (stop_ != Stop::not_yet) return;
  stop_ = Stop::expected;
  ++shared_.at_work;
  set_standing(Standing::sealed);
}

void RecorderThread::end_stop() {
  const std::lock_guard lock(shared_.stop_mutex);
  if (std::exchange(stop_, Stop::ended) == Stop::expected) --shared_.at_work;
  set_standing(Standing::sealed);
  let_others_look_again();  // it may have made place
  shared_.stop_changed.notify_all();
}

void RecorderThread::tell_those_who_stop() {
  const std::lock_guard lock(shared_.stop_mutex);
  shared_.stop_changed.notify_all();
}

// With shared_.stop_mutex held.
void RecorderThread::set_standing(Standing standing) {
  if (counted_ == Standing::waits_for_space && looks_ != shared_.looks) counted_ = Standing::unsealed;  // it was moved
  const auto counter = [&](Standing s) {
    return s == Standing::unsealed          ? &shared_.unsealed
           : s == Standing::waits_for_space ? &shared_.wait_to_seal
                                            : nullptr;
  };
  if (auto* from = counter(counted_)) --*from;
  if (auto* to = counter(standing)) ++*to;
  counted_ = standing;
  looks_ = shared_.looks;
}

void RecorderThread::note_standing() {
  Standing standing = session_ == nullptr || sealed_ || seal_failed_ ? Standing::sealed
                      : cannot_seal_                                 ? Standing::waits_for_space
                                                                     : Standing::unsealed;
  if (standing_ == standing && standing != Standing::waits_for_space) return;
  standing_ = standing;
  const std::lock_guard lock(shared_.stop_mutex);
  // It is to look again before anybody goes by what it found.
  if (standing == Standing::waits_for_space && cannot_seal_since_ != shared_.looks) standing = Standing::unsealed;
  if (stop_ == Stop::not_yet) set_standing(standing);
}

// With shared_.stop_mutex held: there may be space now for those who had none to seal what they have.
void RecorderThread::let_others_look_again() {
  shared_.unsealed += std::exchange(shared_.wait_to_seal, 0);
  ++shared_.looks;
}

// For others; it must not cost this recording anything.
void RecorderThread::seal_if_wanted() {
  if (shared_.seal_wanted == 0 || !session_ || sealed_ || seal_failed_ || gate_.cancelled()) return;
  // Somebody else may have taken the space that is spoken for: then whoever seals takes it from those who must close.
  // Until there is enough again nobody waits for this one. (Of what is reckoned beside the blocks, a section's header
  // for one, those who stop may have claimed a little more than there is.)
  {
    const std::lock_guard lock(shared_.stop_mutex);
    cannot_seal_since_ = shared_.looks;
  }
  cannot_seal_ = gate_.free_bytes() + kOpenBytes < shared_.unwritten.used();
  if (!cannot_seal_) {
    auto sealed = session_->seal();
    if (!sealed && !is_disk_full(sealed.error())) return give_up(sealed.error());
    sealed_ = sealed.has_value();
    cannot_seal_ = seal_failed_ = !sealed_;  // what it has it keeps
    tell_missing_files();
  }
  dirty_ = dirty_ && !sealed_;
  account();
}

// Where nothing is waited for: takes space for `bytes` that come next, beside what all recordings need to be closed.
// False if there is none, and nobody is left who may make some. What is open is reckoned at its most; as a section it
// takes what it takes. But each section costs something, too: they are sealed when nobody else is at work, first by
// those who go on.
bool RecorderThread::claim(std::uint64_t bytes) {
  expect_stop();
  account();
  const auto fits = [&] { return gate_.free_bytes() >= shared_.unwritten.used() + bytes; };
  std::unique_lock lock(shared_.stop_mutex);
  while (!take_if_it_fits(bytes)) {
    const bool may_seal = !sealed_;
    if (may_seal) ++shared_.may_seal;
    --shared_.at_work;
    shared_.stop_changed.notify_all();
    ++shared_.seal_wanted;
    const auto patient_until = std::chrono::steady_clock::now() + kPatience;
    const auto others_sealed = [&] {
      return shared_.unsealed == 0 || std::chrono::steady_clock::now() >= patient_until;
    };
    const auto settled = [&] {
      return fits() || (shared_.at_work == 0 && (may_seal || shared_.may_seal == 0) && others_sealed());
    };
    while (!settled()) shared_.stop_changed.wait_for(lock, kLookAgain);
    --shared_.seal_wanted;
    ++shared_.at_work;
    if (may_seal) --shared_.may_seal;
    if (fits()) continue;
    if (!may_seal) return false;
    lock.unlock();
    if (auto sealed = session_->seal(); !sealed) {
      give_up(sealed.error());
      return true;  // the bytes come too late
    }
    sealed_ = true;
    tell_missing_files();
    account();
    lock.lock();
    let_others_look_again();
  }
  return true;
}

bool RecorderThread::claim_if_it_fits(std::uint64_t bytes) {
  expect_stop();
  account();
  const std::lock_guard lock(shared_.stop_mutex);
  return take_if_it_fits(bytes);
}

// With shared_.stop_mutex held.
bool RecorderThread::take_if_it_fits(std::uint64_t bytes) {
  if (gate_.free_bytes() < shared_.unwritten.used() + bytes) return false;
  (void)unwritten_.set(unwritten_.held() + bytes);
  sealed_ = false;
  return true;
}

void RecorderThread::lose_the_rest(std::uint64_t bytes) {
  const Error full = gate_.full_error(shared_.unwritten.used() + bytes);
  losing_ = true;
  shared_.note_loss(full);
  spdlog::error("full     {}: {}: what still comes is lost", options_.device, full.to_string());
}

void RecorderThread::account() {
  // When nothing is waited for any more, what has no place in the log goes into sections only.
  const std::uint64_t unlogged = session_ && gate_.cancelled() ? session_->unlogged_bytes() : 0;
  (void)unwritten_.set(session_ ? session_->unwritten_bytes() - unlogged : 0);
  const std::uint64_t largest = std::max(largest_before_, largest_batch_);
  (void)in_hand_.set(session_ && !gate_.released() ? kInHandPieces * largest : 0);
  note_standing();
  if (gate_.cancelled() || shared_.seal_wanted > 0) tell_those_who_stop();
}

// Free bytes that there must be before `bytes` are written. Who has a device that is there leaves room for all that
// devices still have. Of one that has gone only these bytes come: they may have what is not needed to close recordings.
std::uint64_t RecorderThread::needed_for(std::uint64_t bytes) const {
  const std::uint64_t unwritten = shared_.unwritten.used();
  if (gate_.released()) return unwritten + kWrittenTwice * bytes;
  return unwritten + shared_.in_hand.used() + kWrittenTwice * shared_.queued_data;
}

// Returns when there is room for `bytes` that come next and all that must still be written, or when they are to go into
// the reserve, or be lost.
void RecorderThread::make_room(std::uint64_t bytes) {
  account();
  if (has_space(needed_for(bytes))) return;
  flush();  // what came before is safe meanwhile
  account();
  if (!session_ || has_space(needed_for(bytes))) return;
  const Error full = gate_.full_error(needed_for(bytes));
  if (gate_.on_full() == OnFull::stop) {
    gate_.cancel();
    shared_.note_loss(full);
    spdlog::error("recording stopped: {}: {}", options_.device, full.to_string());
    return tell(full);  // the connection ends, and everything taken by then is still written
  }
  while (!has_space(needed_for(bytes)) && gate_.wait(full.to_string())) account();  // the device may have gone
  gate_.go_on();
}

}  // namespace sds
