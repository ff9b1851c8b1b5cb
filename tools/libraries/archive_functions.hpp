// What sdskit calls of libarchive, under libarchive's names (module.hpp says why).
#pragma once

#include <archive.h>
#include <archive_entry.h>

#include "sds/format/error.hpp"

namespace sds {

struct ArchiveFunctions {
  decltype(&::archive_entry_free) archive_entry_free = &::archive_entry_free;
  decltype(&::archive_entry_new) archive_entry_new = &::archive_entry_new;
  decltype(&::archive_entry_set_filetype) archive_entry_set_filetype = &::archive_entry_set_filetype;
  decltype(&::archive_entry_set_mtime) archive_entry_set_mtime = &::archive_entry_set_mtime;
  decltype(&::archive_entry_set_pathname) archive_entry_set_pathname = &::archive_entry_set_pathname;
  decltype(&::archive_entry_set_perm) archive_entry_set_perm = &::archive_entry_set_perm;
  decltype(&::archive_entry_set_size) archive_entry_set_size = &::archive_entry_set_size;
  decltype(&::archive_error_string) archive_error_string = &::archive_error_string;
  decltype(&::archive_set_error) archive_set_error = &::archive_set_error;
  decltype(&::archive_write_close) archive_write_close = &::archive_write_close;
  decltype(&::archive_write_data) archive_write_data = &::archive_write_data;
  decltype(&::archive_write_free) archive_write_free = &::archive_write_free;
  decltype(&::archive_write_header) archive_write_header = &::archive_write_header;
  decltype(&::archive_write_new) archive_write_new = &::archive_write_new;
  decltype(&::archive_write_open2) archive_write_open2 = &::archive_write_open2;
  decltype(&::archive_write_set_bytes_in_last_block) archive_write_set_bytes_in_last_block =
      &::archive_write_set_bytes_in_last_block;
  decltype(&::archive_write_set_format_zip) archive_write_set_format_zip = &::archive_write_set_format_zip;
  decltype(&::archive_write_zip_set_compression_deflate) archive_write_zip_set_compression_deflate =
      &::archive_write_zip_set_compression_deflate;
  decltype(&::archive_write_zip_set_compression_store) archive_write_zip_set_compression_store =
      &::archive_write_zip_set_compression_store;
};

/// An error where libarchive is a module that cannot be loaded.
Expected<const ArchiveFunctions*> archive_functions();

/// For code that has asked archive_functions() whether it is there.
inline const ArchiveFunctions& libarchive() { return **archive_functions(); }

}  // namespace sds
