#include "archive_functions.hpp"
#include "module.hpp"

namespace {

constexpr sds::ArchiveFunctions archive_table;

}  // namespace

const sds::Module sds::sdskit_module = sds::module_of(archive_table);
