#include "sds/format/sdsz_writer.hpp"

#include <fmt/format.h>

#include <array>

#include "sds/format/new_file.hpp"
#include "sdsz_writer_state.hpp"

namespace sds {

SdszWriter::State::~State() {
  if (options.open_blocks != nullptr) {
    options.open_blocks->used_ -= accounted;
    --options.open_blocks->writers_;
  }
  wait_for_encoders();
}

void SdszWriter::State::describe_again() {
  const std::size_t before = jobs.size();
  try {
    push_small(SectionKind::session, SectionHeader::no_stream, session);
    for (std::uint32_t id = 0; id < streams.size(); ++id) {
      std::string blocks(8, '\0');
      store_le(blocks.data(), streams[id].blocks());
      streams[id].description.set("blocks", blocks);
      push_small(SectionKind::stream, id, streams[id].description.encode());
    }
  } catch (...) {
    jobs.resize(before);
    throw;
  }
}

Expected<void> SdszWriter::State::flush() {
  // The log holds blocks only.
  if (wal)
    for (std::uint32_t id = 0; id < streams.size(); ++id) start_sealing_tail(id);
  if (auto done = commit(0); !done) return done;
  if (options.durability == Durability::power && synced_bytes != stored) {
    if (auto done = surely([&] { return sink->sync(); }); !done) {
      save_in_log_if_possible();
      return done;
    }
    synced_bytes = stored;
  }
  if (wal)
    if (auto done = flush_log(); !done) return done;
  if (options.durability == Durability::power)
    for (auto& stream : streams) stream.forced_blocks = stream.blocks();
  return {};
}

Expected<void> SdszWriter::State::resume() {
  if (!failure) return {};
  const auto still = [&]() -> Expected<void> { return tl::unexpected<Error>(*failure); };
  if (for_good) return still();
  // The file is cut back to whole sections, the log to whole frames, before anything is added.
  if (close_step < 5)
    if (!cut_back()) return still();
  if (wal && !log_failure && close_step <= 5)
    if (auto repaired = wal->repair(); !repaired) log_failure = lasting(std::move(repaired.error()));
  failure.reset();
  // What was full then, and had not the memory to be sealed.
  for (std::uint32_t id = 0; id < streams.size(); ++id) {
    if (streams[id].run.raw_bytes() >= options.section_bytes) start_sealing_blocks(id);
    if (streams[id].tail.size() >= tail_piece_bytes()) start_sealing_tail(id);
  }
  auto done = commit(0);
  if (done) saved_in_log = false;
  return done;
}

Expected<void> SdszWriter::State::close_next(std::size_t step) {
  if (step == 0) {
    for (std::uint32_t id = 0; id < streams.size(); ++id) start_sealing(id);
    describe_again();
    return {};
  }
  if (step == 1) return commit(0);
  if (step == 2) return write_index();
  if (step == 3) {
    Bytes footer;
    append_le(footer, last_index);
    append_le(footer, std::uint64_t{sequence});
    SectionHeader header;
    header.kind = SectionKind::footer;
    seal_payload(header, footer, false);
    return write_section(header, footer, {}, {});
  }
  if (step == 4) {
    if (!wal) return {};
    const auto directory = directory_of(sink->path());
    return surely([&] {
      auto synced = sink->sync();
      return synced ? sync_directory(directory) : synced;
    });
  }
  if (step == 5) return surely([&] { return sink->close(); });
  if (!wal) return {};
  auto done = wal->remove();
  if (!done) return latch(std::move(done));
  return {};
}

namespace {

Expected<void> check_options(const SdszWriterOptions& options, const std::filesystem::path& path) {
  if (options.section_bytes >= limits::min_section_option && options.section_bytes <= limits::max_section_option)
    return {};
  return fail(ErrorCode::usage,
              fmt::format("sections of {} bytes; {} to {} are possible", options.section_bytes,
                          limits::min_section_option, limits::max_section_option),
              path);
}

}  // namespace

SdszWriter::SdszWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}
SdszWriter::~SdszWriter() = default;
SdszWriter::SdszWriter(SdszWriter&&) noexcept = default;
SdszWriter& SdszWriter::operator=(SdszWriter&&) noexcept = default;

Expected<SdszWriter> SdszWriter::create(const std::filesystem::path& path, const Properties& session,
                                        const SdszWriterOptions& options) {
  try {
    return create_file(path, session, options);
  } catch (const std::exception&) {
    return tl::unexpected<Error>(no_memory());
  }
}

Expected<SdszWriter> SdszWriter::create_file(const std::filesystem::path& path, const Properties& session,
                                             const SdszWriterOptions& options) {
  if (auto ok = check_options(options, path); !ok) return fail(ok);
  // Nothing is left of a recording that could not be begun.
  NewFile recording(path);
  NewFile recording_log(wal_path(path));
  std::error_code ignored;
  const auto is_there = [&](const std::filesystem::path& name) {
    return std::filesystem::exists(std::filesystem::symlink_status(name, ignored));
  };
  // A log beside the name holds blocks of a recording that was here, or will be taken for this one's.
  const std::array logs{wal_path(path), new_wal_path(path)};
  for (const auto& log : logs)
    if (options.if_exists == IfExists::fail && is_there(log)) return fail(ErrorCode::exists, "exists already", log);
  const bool is_new = options.if_exists == IfExists::fail || !is_there(path);
  auto sink = OutputFile::create_marked(path, options.if_exists);
  if (!sink) return fail(sink);
  if (is_new) recording.made();
  const auto not_marked = (*sink)->not_marked();
  Properties told = session;
  if (not_marked) told.set("lock", "none");
  for (const auto& log : logs)
    if (is_there(log))
      if (auto removed = remove_file(log); !removed) return fail(removed);
  SdszWriterOptions without_log = options;
  without_log.durability = Durability::none;
  auto writer = begin(std::move(*sink), told, without_log);
  if (writer) {
    writer->state_->not_marked = not_marked;
    // What no log has is in the recording or nowhere.
    writer->state_->keeps_room = options.durability == Durability::none;
  }
  if (writer && options.durability != Durability::none) {
    State& state = *writer->state_;
    state.options.durability = options.durability;
    auto wal = WalWriter::create(path, state.recording, options.if_exists);
    if (!wal) return fail(wal);
    recording_log.made();
    state.wal = std::move(*wal);
    if (options.durability == Durability::power) {
      if (auto done = state.sink->sync(); !done) return fail(done);
      if (auto done = state.wal->sync(); !done) return fail(done);
      if (auto done = sync_directory(directory_of(path)); !done) return fail(done);
    }
  }
  if (writer) recording.keep();
  recording_log.keep();
  return writer;
}

Expected<SdszWriter> SdszWriter::create(std::unique_ptr<ByteSink> sink, const Properties& session,
                                        const SdszWriterOptions& options) {
  try {
    return begin(std::move(sink), session, options);
  } catch (const std::exception&) {
    return tl::unexpected<Error>(no_memory());
  }
}

Expected<SdszWriter> SdszWriter::begin(std::unique_ptr<ByteSink> sink, const Properties& session,
                                       const SdszWriterOptions& options) {
  if (auto ok = check_options(options, sink->path()); !ok) return fail(ok);
  if (options.durability != Durability::none)
    return fail(ErrorCode::usage, "a log needs a file that it stands beside", sink->path());
  auto state = std::make_unique<State>();
  state->sink = std::move(sink);
  state->options = options;
  if (options.open_blocks != nullptr) ++options.open_blocks->writers_;
  state->session = session.encode();
  if (state->session.size() > limits::max_session_bytes)
    return fail(ErrorCode::limit, "too many facts about the session", state->sink->path());
  state->recording = recording_id(state->session);
  state->push_small(SectionKind::session, SectionHeader::no_stream, state->session);
  if (auto done = state->commit(0); !done) return fail(done);
  return SdszWriter(std::move(state));
}

Expected<SdszWriter::StreamId> SdszWriter::add_stream(const StreamDescription& description) {
  const auto id = static_cast<StreamId>(state_->streams.size());
  const auto take = [&] { return state_->take_stream(description); };
  if (auto added = state_->taking(take, [&] { return state_->write_stream(); }); !added)
    return tl::unexpected<Error>(std::move(added.error()));
  return id;
}

Expected<void> SdszWriter::append(StreamId id, std::uint32_t timeslot, ByteView data) {
  TickUnwrapper ticks = state_->streams[id].ticks;
  return append_at(id, ticks.next(timeslot), data);
}

Expected<void> SdszWriter::append_at(StreamId id, std::uint64_t tick, ByteView data) {
  return state_->append(id, tick, data);
}

bool SdszWriter::has_layout(StreamId id, const Layout& layout) const {
  const Layout& own = state_->streams[id].layout;
  return own.sample_bytes == layout.sample_bytes && own.columns == layout.columns;
}

Expected<void> SdszWriter::append_section(StreamId id, const SectionHeader& header, const Layout& layout,
                                          Bytes payload) {
  const auto take = [&]() -> Expected<void> {
    if (auto ok = state_->usable(); !ok) return ok;
    if (state_->streams[id].ended || state_->streams[id].torn)
      return fail(ErrorCode::usage, "a section after the stream's end", state_->sink->path());
    if (header.kind != SectionKind::data || !has_layout(id, layout))
      return fail(ErrorCode::usage, "a section of another layout cannot be copied", state_->sink->path());
    if (auto room = state_->room_for_sections(); !room) return room;
    if (auto sound = check_payload(header, payload); !sound) return sound;
    auto summary = summarize(payload);
    if (!summary) return fail(summary);
    state_->take_section(id, header, std::move(summary->statistics), std::move(payload));
    return {};
  };
  return state_->taking(take, [&] { return state_->commit(state_->pipelined()); });
}

Expected<void> SdszWriter::append_tail(StreamId id, ByteView bytes) {
  State& state = *state_;
  OpenStream& stream = state.streams[id];
  const std::size_t piece_bytes = state.tail_piece_bytes();
  const bool first = !stream.torn;
  const auto take = [&]() -> Expected<void> {
    if (auto ok = state.usable(); !ok) return ok;
    if (stream.ended) return fail(ErrorCode::usage, "a torn end after the stream's end", state.sink->path());
    const std::size_t pieces = (stream.tail.size() + bytes.size()) / piece_bytes;
    // What has been begun has a place.
    if (const auto wanted = pieces + (stream.tail.empty() ? 1 : 0); wanted > 0)
      if (auto room = state.room_for_sections(first ? State::Purpose::end : State::Purpose::go_on, wanted); !room)
        return room;
    if (first) state.start_sealing_blocks(id);
    append_bytes(stream.tail, bytes);
    stream.torn = true;
    state.open_bytes += bytes.size();
    return {};
  };
  const auto write = [&]() -> Expected<void> {
    if (stream.tail.size() >= piece_bytes) state.start_sealing_tail(id);
    if (first || stream.tail.empty())
      if (auto done = state.commit(0); !done) return done;
    if (state.open_bytes > limits::max_open_bytes) return state.seal(state.largest_stream());
    state.account();
    return state.has_too_many() ? state.trim() : Expected<void>{};
  };
  return state.taking(take, write);
}

Expected<void> SdszWriter::add_gap(StreamId id, const std::string& reason) {
  const auto take = [&]() -> Expected<void> {
    if (auto ok = state_->usable(); !ok) return ok;
    if (auto room = state_->room_for_sections(State::Purpose::end); !room) return room;
    state_->start_sealing(id);
    state_->push_small(SectionKind::gap, id, encode_gap(reason), true);
    return {};
  };
  return state_->taking(take, [&] { return state_->commit(0); });
}

Expected<void> SdszWriter::add_clock(StreamId id, const ClockPair& pair, ClockOf of) {
  const auto take = [&]() -> Expected<void> {
    if (auto ok = state_->usable(); !ok) return ok;
    if (auto room = state_->room_for_sections(); !room) return room;
    state_->streams[id].has_last_clock = of == ClockOf::end;
    state_->push_small(SectionKind::clock, id, encode_clock(pair), true);
    return {};
  };
  return state_->taking(take, [&] { return state_->commit(state_->pipelined()); });
}

Expected<void> SdszWriter::seal(StreamId id) {
  return state_->if_usable([&] { return state_->seal(id); });
}

Expected<void> SdszWriter::trim() {
  return state_->if_usable([&] { return state_->trim(); });
}

Expected<void> SdszWriter::end_stream(StreamId id) {
  const auto take = [&]() -> Expected<void> {
    if (auto ok = state_->usable(); !ok) return ok;
    state_->start_sealing(id);
    if (!state_->streams[id].ended) ++state_->ended_streams;
    state_->streams[id].ended = true;
    state_->streams[id].run = {};
    return {};
  };
  return state_->taking(take, [&] { return state_->commit(state_->pipelined()); });
}

Expected<void> SdszWriter::flush() {
  return state_->if_usable([&] { return state_->flush(); });
}

Expected<void> SdszWriter::shrink_log() {
  return state_->if_usable([&]() -> Expected<void> {
    if (auto done = state_->flush(); !done || !state_->wal) return done;
    auto renewed = state_->renew_log();
    return renewed || !state_->failure ? Expected<void>{} : renewed;
  });
}

Expected<void> SdszWriter::close() {
  state_->closing = true;
  return state_->latching([&]() -> Expected<void> {
    if (state_->failure) return tl::unexpected<Error>(*state_->failure);
    for (; !state_->closed; ++state_->close_step) {
      if (auto done = state_->close_next(state_->close_step); !done) return done;
      if (state_->close_step == 6) state_->closed = true;
    }
    return {};
  });
}

const std::optional<Error>& SdszWriter::failure() const { return state_->failure; }

Expected<void> SdszWriter::resume() {
  return state_->latching([&] { return state_->resume(); });
}

SdszWriter::Closing SdszWriter::closing() const {
  if (state_->close_step < 4) return Closing::unfinished;
  return state_->wal && state_->close_step > 4 ? Closing::stored : Closing::written;
}

Expected<void> SdszWriter::resume_with_what_fits() {
  return state_->latching([&] { return state_->resume_with_what_fits(); });
}

bool SdszWriter::can_resume() const { return !state_->for_good; }

std::optional<Error> SdszWriter::take_replaced_log() { return std::exchange(state_->replaced_log, std::nullopt); }

bool SdszWriter::log_is_in_place() const {
  return !state_->wal || state_->close_step > 0 || state_->wal->is_in_place();
}

const std::optional<Error>& SdszWriter::not_marked() const { return state_->not_marked; }

std::uint64_t SdszWriter::stored_bytes() const { return state_->stored; }

std::uint64_t SdszWriter::raw_bytes() const { return state_->raw + state_->open_bytes; }

std::uint64_t SdszWriter::unwritten_bytes() const { return state_->unwritten_bytes(); }

std::uint64_t SdszWriter::unlogged_bytes() const { return state_->unlogged_bytes(); }

std::uint64_t SdszWriter::taken_blocks(StreamId id) const { return state_->streams[id].blocks(); }

std::uint64_t SdszWriter::forced_blocks(StreamId id) const { return state_->streams[id].forced_blocks; }

std::uint64_t SdszWriter::unsaved_blocks(StreamId id) const {
  const OpenStream& stream = state_->streams[id];
  std::uint64_t saved = stream.filed_blocks + stream.logged.blocks;
  for (const auto& job : state_->jobs)
    if (job->stream == id) saved += job->logged_blocks;
  return stream.blocks() - saved;
}

}  // namespace sds
