#pragma once

namespace sds::test {

/// Of a search that tries very many places: how far it goes on from one to the next. Under a sanitizer it is the paths
/// of the code that are looked at, `share` of them at a time; every place is tried where that is fast.
constexpr int step_of_search([[maybe_unused]] int share) {
#ifdef SDSKIT_SANITIZED
  return share;
#else
  return 1;
#endif
}

/// Whether a test of a million of something, which is about the amount, is left to where it is fast.
constexpr bool under_sanitizer =
#ifdef SDSKIT_SANITIZED
    true;
#else
    false;
#endif

}  // namespace sds::test
