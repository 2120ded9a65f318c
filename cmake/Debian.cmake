# What Debian's policy asks for beside the rest: included by Install.cmake for the Debian package.
configure_file(packaging/deb/changelog.in "${CMAKE_CURRENT_BINARY_DIR}/packaging/changelog.Debian" @ONLY)
set(changelog "${CMAKE_CURRENT_BINARY_DIR}/packaging/changelog.Debian")
add_custom_command(OUTPUT "${changelog}.gz" COMMAND gzip -9nkf "${changelog}"
                   DEPENDS "${changelog}" VERBATIM)
add_custom_target(debian_changelog ALL DEPENDS "${changelog}.gz")
install(FILES "${changelog}.gz" packaging/deb/copyright DESTINATION "${CMAKE_INSTALL_DOCDIR}")
install(FILES packaging/deb/lintian-overrides RENAME owui-spoa
        DESTINATION "${CMAKE_INSTALL_DATADIR}/lintian/overrides")
# The licence is what the file of copyrights says.
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS README.md)
file(READ README.md text)
string(REPLACE "[LICENSE](LICENSE)" "[copyright](copyright)" text "${text}")
set(readme "${CMAKE_CURRENT_BINARY_DIR}/packaging/README.md")
file(WRITE "${readme}" "${text}")
