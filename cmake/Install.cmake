include(CMakePackageConfigHelpers)
install(EXPORT sdskitTargets NAMESPACE sds:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/sdskit)
configure_package_config_file(cmake/sdskitConfig.cmake.in ${PROJECT_BINARY_DIR}/sdskitConfig.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/sdskit)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/sdskitConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/sdskitConfig.cmake ${PROJECT_BINARY_DIR}/sdskitConfigVersion.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/sdskit)
# The build folder is a package, too: find_package(sdskit PATHS build/release).
export(EXPORT sdskitTargets NAMESPACE sds:: FILE ${PROJECT_BINARY_DIR}/sdskitTargets.cmake)

# Links between the documents hold where they are installed.
install(FILES README.md LICENSE CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT programs)
install(DIRECTORY docs DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT programs)
install(FILES sds_format/FORMAT.md DESTINATION ${CMAKE_INSTALL_DOCDIR}/sds_format COMPONENT programs)

# Two packages for Debian: cmake --build build/release --target package
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME sdskit)
set(CPACK_PACKAGE_DIRECTORY ${PROJECT_BINARY_DIR}/packages)
set(CPACK_PACKAGE_CONTACT "The sdskit developers <sdskit@localhost>")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_ALL programs dev)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PROGRAMS_PACKAGE_NAME sdskit)
set(CPACK_COMPONENT_PROGRAMS_DESCRIPTION
  "A recorder for the SDSIO protocol of Arm's SDS framework, a player that replays
 recordings into algorithms and models, and tools that label, check, compare and
 export them.")
set(CPACK_DEBIAN_PROGRAMS_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PROGRAMS_PACKAGE_SHLIBDEPS ON)
# Pictures and pages of sds plot; engines of models (sds-install-engines).
set(CPACK_DEBIAN_PROGRAMS_PACKAGE_RECOMMENDS "gnuplot-nox, fonts-dejavu-core, libjs-dygraphs, python3-venv")
set(CPACK_DEBIAN_DEV_PACKAGE_NAME libsdskit-dev)
set(CPACK_COMPONENT_DEV_DESCRIPTION "Static libraries, headers and the CMake package of sdskit.")
set(CPACK_DEBIAN_DEV_PACKAGE_SECTION libdevel)
# Those of its build that its headers or its static libraries ask for.
file(STRINGS cmake/debian-packages.txt build_packages REGEX "^(# group: .*|lib.*-dev|nlohmann.*)$")
list(FIND build_packages "# group: plot" end)
list(SUBLIST build_packages 0 ${end} build_packages)
list(FILTER build_packages EXCLUDE REGEX "^#|cli11")
list(JOIN build_packages ", " build_packages)
set(CPACK_DEBIAN_DEV_PACKAGE_DEPENDS "pkg-config, ${build_packages}")
include(CPack)
