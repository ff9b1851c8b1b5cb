# Warnings, sanitizers and the shape that every sdskit library has.

add_library(sdskit_options INTERFACE)
install(TARGETS sdskit_options EXPORT sdskitTargets)  # what the build folder's package would miss
target_compile_options(sdskit_options INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion
  $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor -Woverloaded-virtual>)
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
  # GCC 12 sees overlaps in std::string that are none (GCC bug 105329, 105651).
  target_compile_options(sdskit_options INTERFACE -Wno-restrict)
  if(CMAKE_UNITY_BUILD)
    # What is in the anonymous namespace of a joined source is no less its own.
    target_compile_options(sdskit_options INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wno-subobject-linkage>)
  endif()
endif()
if(SDSKIT_WERROR)
  target_compile_options(sdskit_options INTERFACE -Werror)
endif()
# For what need not be fast, but must build fast: tests and commands.
set(SDSKIT_COLD -O1)
if(SDSKIT_SANITIZE)
  set(SDSKIT_COLD -O0)
  add_compile_options(-fsanitize=${SDSKIT_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${SDSKIT_SANITIZE})
  add_compile_definitions(SDSKIT_SANITIZED)
endif()
if(SDSKIT_BUILD_FUZZERS)
  # What is fuzzed tells the fuzzer which paths were taken.
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
# The same floating-point results on every machine: never fuse a multiply and an add behind our back.
add_compile_options(-ffp-contract=off)

# What nearly every source includes is parsed once for each target: half of the time that a small one takes to compile.
# (To GCC 12 what was precompiled is no system header any more, and its false alarms about std::string show: only where
# warnings are no errors.)
set(SDSKIT_COMMON_HEADERS <fmt/format.h> <tl/expected.hpp> <algorithm> <atomic> <chrono> <filesystem> <functional> <map>
  <memory> <mutex> <optional> <set> <string> <vector>)
function(sdskit_precompile target)
  if(CMAKE_CXX_COMPILER_ID STREQUAL GNU AND SDSKIT_WERROR)
    return()
  endif()
  string(REPLACE ">" "$<ANGLE-R>" headers "${ARGN}")
  target_precompile_headers(${target} PRIVATE "$<$<COMPILE_LANGUAGE:CXX>:${headers}>")
endfunction()

# sdskit_library(<folder name> <exported name> SOURCES ... [PUBLIC libs] [PRIVATE libs])
# makes target <folder name>, alias sds::<exported name>, with the public headers in include/.
function(sdskit_library target alias)
  cmake_parse_arguments(ARG "" "" "SOURCES;PUBLIC;PRIVATE" ${ARGN})
  add_library(${target} STATIC ${ARG_SOURCES})
  add_library(sds::${alias} ALIAS ${target})
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${alias})
  target_include_directories(${target} PUBLIC $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/include)
    target_include_directories(${target} PUBLIC $<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/include>
      PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/src)
  endif()
  target_compile_features(${target} PUBLIC cxx_std_20)
  target_link_libraries(${target} PUBLIC ${ARG_PUBLIC} PRIVATE ${ARG_PRIVATE} $<BUILD_INTERFACE:sdskit_options>)
  sdskit_precompile(${target} ${SDSKIT_COMMON_HEADERS})
  install(TARGETS ${target} EXPORT sdskitTargets
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
  if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/include)
    install(DIRECTORY include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
  endif()
endfunction()
