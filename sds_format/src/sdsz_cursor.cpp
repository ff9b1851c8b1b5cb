#include "sds/format/sdsz_cursor.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <mutex>

#include "sds/format/if_damaged.hpp"
#include "sds/format/limits.hpp"

namespace sds {

// Tells the cursor's thread that a section is decoded. Outlives the cursor where work is still on its way.
struct SdszCursor::Finished {
  std::mutex mutex;
  std::condition_variable changed;
};

// A section on its way through a decoder; it keeps coder and buffers for the next one. `finished` is guarded by the
// mutex of Finished.
struct SdszCursor::Decoding {
  IndexEntry entry;
  bool skipped = false;                   // not wanted: neither read nor decoded
  std::optional<DataSectionCoder> coder;  // made where it works: that may fail
  Bytes stored;
  BlockRun run;
  Expected<void> outcome;
  bool finished = false;
  std::uint64_t reserved = 0;

  void decode(const SdszReader& reader, const Layout& layout) {
    // An exception would end another's thread, and leave who waits for this one waiting.
    try {
      run.clear();
      stored.resize(entry.header.stored_bytes);
      outcome = reader.file()->read_exactly(entry.payload_offset(), stored);
      if (!outcome) return;
      if (!coder) coder.emplace();
      outcome = coder->decode(entry.header, stored, layout, run);
    } catch (const std::bad_alloc&) {
      outcome = tl::unexpected<Error>(no_memory());
    }
  }
};

namespace {

// What a decoding cursor holds of a section: the blocks, and the columns they are made of.
std::uint64_t held_bytes(const IndexEntry& entry) {
  constexpr std::uint64_t a_block = 32;  // timeslot, size, tick, and perhaps a jump
  return 2 * std::uint64_t{entry.header.raw_bytes} + entry.header.stored_bytes + a_block * entry.header.block_count;
}

}  // namespace

SdszCursor::SdszCursor(std::shared_ptr<const SdszReader> reader, std::size_t stream, Executor* executor,
                       SectionFilter wanted)
    : reader_(std::move(reader)),
      stream_(stream),
      executor_(executor),
      wanted_(std::move(wanted)),
      finished_(std::make_shared<Finished>()) {}

SdszCursor::~SdszCursor() { reader_->decoded_bytes() -= reserved_; }

Expected<std::optional<BlockView>> SdszCursor::next() {
  if (error_) return tl::unexpected<Error>(*error_);
  while (next_block_ == run_.count()) {
    auto loaded = load_next();
    if (!loaded) {
      if (is_unread(loaded.error())) error_ = loaded.error();
      return fail(loaded);
    }
    if (!*loaded) return std::nullopt;
  }
  const std::size_t i = next_block_++;
  if (next_jump_ < run_.jumps.size() && run_.jumps[next_jump_].block == i)
    ticks_ = TickUnwrapper(run_.jumps[next_jump_++].tick);
  const std::uint64_t ordinal = run_ordinal_ + i;
  if (ordinal >= next_gap_block_) note_gaps(ordinal);
  const BlockView block{run_.timeslots[i], std::exchange(after_loss_, false), ticks_.next(run_.timeslots[i]),
                        ByteView(run_.bytes).subspan(next_byte_, run_.sizes[i]), ordinal};
  next_byte_ += run_.sizes[i];
  last_tick_ = block.tick;
  any_block_ = true;
  return block;
}

// Passes the recorded gaps that lie before a block.
void SdszCursor::note_gaps(std::uint64_t ordinal) {
  const auto& gaps = reader_->streams()[stream_].gaps;
  for (; next_gap_ < gaps.size() && gaps[next_gap_].before_block <= ordinal; ++next_gap_) after_loss_ = true;
  next_gap_block_ = next_gap_ < gaps.size() ? gaps[next_gap_].before_block : UINT64_MAX;
}

// Counts a section's memory among the reader's; false if that would be more than `limit`.
bool SdszCursor::reserve(Decoding& decoding, std::uint64_t limit) {
  const std::uint64_t wanted = held_bytes(decoding.entry);
  if (wanted <= decoding.reserved) return true;
  const std::uint64_t more = wanted - decoding.reserved;
  if (reader_->decoded_bytes().fetch_add(more) + more > limit) {
    reader_->decoded_bytes() -= more;
    return false;
  }
  decoding.reserved = wanted;
  reserved_ += more;
  return true;
}

// Has the sections that come next decoded: one for the caller, and as many ahead as the executor has threads.
Expected<void> SdszCursor::start_decoding() {
  const SdszStream& stream = reader_->streams()[stream_];
  const std::size_t wanted = executor_ == nullptr ? 1 : 1 + executor_->concurrency();
  while (decodings_.size() < wanted && next_section_ < stream.data.size()) {
    std::shared_ptr<Decoding> decoding;
    if (spare_decodings_.empty()) {
      decoding = std::make_shared<Decoding>();
    } else {
      decoding = std::move(spare_decodings_.back());
      spare_decodings_.pop_back();
    }
    decoding->entry = stream.data[next_section_];
    decoding->skipped = wanted_ && !wanted_(decoding->entry);
    decoding->finished = decoding->skipped;
    const bool ahead = !decodings_.empty();
    if (!decoding->skipped && !reserve(*decoding, ahead ? limits::max_ahead_bytes : limits::max_decoded_bytes)) {
      spare_decodings_.push_back(decoding);
      if (ahead) return {};
      return fail(ErrorCode::limit, "the sections of all streams that are read together are too large",
                  reader_->file()->path(), decoding->entry.offset);
    }
    ++next_section_;
    decodings_.push_back(decoding);
    if (decoding->skipped) continue;
    if (executor_ == nullptr) {
      decoding->decode(*reader_, stream.layout);
      decoding->finished = true;
      continue;
    }
    try {
      executor_->run([decoding, reader = reader_, index = stream_, finished = finished_] {
        decoding->decode(*reader, reader->streams()[index].layout);
        const std::lock_guard lock(finished->mutex);
        decoding->finished = true;
        finished->changed.notify_all();
      });
    } catch (const std::exception&) {  // no memory for a task: then it is done here
      decoding->decode(*reader_, stream.layout);
      decoding->finished = true;
    }
  }
  return {};
}

void SdszCursor::wait_for(const Decoding& decoding) {
  for (;;) {
    std::unique_lock lock(finished_->mutex);
    if (decoding.finished) return;
    lock.unlock();
    if (executor_->help()) continue;
    lock.lock();
    finished_->changed.wait(lock, [&] { return decoding.finished; });
    return;
  }
}

// Fills run_ with the next blocks, from a section or from the log; false at the end.
Expected<bool> SdszCursor::load_next() {
  const SdszStream& stream = reader_->streams()[stream_];
  next_block_ = next_byte_ = next_jump_ = 0;
  run_.clear();
  if (!stream.has_description && !stream.data.empty()) return false;  // the log stores blocks as they came
  for (;;) {
    if (auto started = start_decoding(); !started) return fail(started);
    const std::uint64_t limit = decodings_.empty() ? stream.end_block : decodings_.front()->entry.header.first_block;
    if (next_ordinal_ < limit) {
      auto found = load_from_log(limit);
      if (!found || *found) return found;
      continue;
    }
    if (decodings_.empty()) {
      if (failed_) lose(next_ordinal_);
      return false;
    }
    const std::shared_ptr<Decoding> decoding = std::move(decodings_.front());
    decodings_.pop_front();
    wait_for(*decoding);
    spare_decodings_.push_back(decoding);
    if (failed_) lose(next_ordinal_);
    if (decoding->skipped) {
      // What is left out on purpose is no loss; a gap before it, though, lies before what comes next.
      next_ordinal_ = decoding->entry.header.end_block();
      last_tick_ = decoding->entry.header.last_tick;
      any_block_ = true;
      continue;
    }
    if (auto taken = take_decoded(*decoding); !taken) return fail(taken);
    if (run_.count() > 0) return true;
  }
}

Expected<void> SdszCursor::take_decoded(Decoding& decoding) {
  const IndexEntry& entry = decoding.entry;
  if (!decoding.outcome && is_unread(decoding.outcome.error())) return fail(decoding.outcome);
  if (decoding.outcome) {
    std::swap(run_, decoding.run);
    run_ordinal_ = entry.header.first_block;
    next_ordinal_ = entry.header.end_block();
    ticks_ = TickUnwrapper(entry.header.first_tick);
    return {};
  }
  Damage damage;
  damage.offset = entry.offset;
  damage.bytes = entry.header.section_bytes();
  damage.stream = stream_;
  damage.reason = decoding.outcome.error().message;
  damage.first_block = entry.header.first_block;
  damage.blocks = entry.header.block_count;
  damage.first_tick = entry.header.first_tick;
  damage.last_tick = entry.header.last_tick;
  failed_ = damage;
  failed_end_ = entry.header.end_block();
  return {};
}

// Blocks from next_ordinal_ on that no section has, or a damaged one had, up to `limit`. Without any in the log they
// are lost, and next_ordinal_ is behind them.
Expected<bool> SdszCursor::load_from_log(std::uint64_t limit) {
  const SdszStream& stream = reader_->streams()[stream_];
  const auto piece = std::upper_bound(stream.log.begin(), stream.log.end(), next_ordinal_,
                                      [](std::uint64_t at, const WalPiece& p) { return at < p.end_block(); });
  if (piece == stream.log.end() || piece->first_block >= limit) {
    lose(limit);
    return false;
  }
  if (piece->first_block > next_ordinal_) {
    lose(piece->first_block);
    return false;
  }
  if (frame_.piece != &*piece || next_ordinal_ < frame_.next_block) {
    frame_ = {};
    frame_.records.resize(piece->bytes);
    if (auto read = piece->log->read_exactly(piece->offset, frame_.records); !read) {
      if (is_unread(read.error())) return fail(read);
      lose(std::min(limit, piece->end_block()));
      return false;
    }
    frame_.piece = &*piece;
    frame_.next_block = piece->first_block;
    if (piece->first_tick) frame_.ticks = TickUnwrapper(*piece->first_tick);
  }
  // Without a tick of its own, a frame goes on from the block before it.
  if (!piece->first_tick) frame_.ticks = any_block_ ? TickUnwrapper(last_tick_) : TickUnwrapper();
  ByteReader records(ByteView(frame_.records).subspan(frame_.next_byte));
  run_ordinal_ = next_ordinal_;
  for (; frame_.next_block < std::min(limit, piece->end_block()); ++frame_.next_block) {
    const auto timeslot = records.number<std::uint32_t>();
    const auto size = records.number<std::uint32_t>();
    const auto data = size ? records.take(*size) : std::nullopt;
    if (!data) break;
    frame_.next_byte += 8 + data->size();
    if (frame_.next_block < next_ordinal_ && !piece->first_tick) continue;
    const std::uint64_t tick = frame_.ticks.next(*timeslot);
    if (frame_.next_block >= next_ordinal_) run_.append(*timeslot, tick, *data);
  }
  if (run_.count() == 0) {
    lose(std::min(limit, piece->end_block()));
    return false;
  }
  next_ordinal_ += run_.count();
  ticks_ = TickUnwrapper(run_.first_tick);
  if (failed_ && next_ordinal_ >= failed_->first_block + *failed_->blocks) lose(next_ordinal_);
  return true;
}

// Notes that the blocks from next_ordinal_ up to `up_to` are lost, and with it a section that could not be decoded.
void SdszCursor::lose(std::uint64_t up_to) {
  if (up_to > next_ordinal_) after_loss_ = true;
  if (failed_) {
    Damage damage = std::move(*failed_);
    failed_.reset();
    const std::uint64_t section_end = damage.first_block + *damage.blocks;
    const std::uint64_t end = std::min(up_to, section_end);
    const std::uint64_t lost = end - std::min(end, next_ordinal_);
    if (lost == *damage.blocks) {
      damage.reason += "; " + blocks_are_lost(lost, *damage.first_tick, *damage.last_tick);
    } else {
      damage.reason += lost == 0 ? "; its blocks come from the log" : fmt::format("; {} of its blocks are lost", lost);
      if (next_ordinal_ > damage.first_block) damage.first_tick.reset();
      if (end < section_end || lost == 0) damage.last_tick.reset();
      damage.first_block = next_ordinal_;
      damage.blocks = lost;
    }
    if (lost > 0) {
      const Damage around = reader_->missing(stream_, next_ordinal_, end);
      damage.after_tick = around.after_tick;
      damage.before_tick = around.before_tick;
    }
    add_damage(damage);
    next_ordinal_ += lost;
  }
  // What no section ever held was told when the recording was opened, up to the section and from behind it.
  for (const std::uint64_t end : {std::min(up_to, failed_end_), up_to}) {
    if (end > next_ordinal_) add_damage(reader_->missing(stream_, next_ordinal_, end));
    next_ordinal_ = std::max(next_ordinal_, end);
  }
}

void SdszCursor::add_damage(const Damage& damage) {
  if (damages_.size() < DamageLog::max_kept) damages_.push_back(damage);
  reader_->damage_log()->add(damage);
}

Expected<void> SdszCursor::read_tail(const std::function<Expected<void>(ByteView)>& take) const {
  for (const auto& entry : reader_->streams()[stream_].tail) {
    auto bytes = reader_->payload(entry);
    if (!bytes) return fail(bytes);
    if (auto taken = take(*bytes); !taken) return taken;
  }
  return {};
}

}  // namespace sds
