# Man pages and the shells' completions, made by running the program: what they say is what it says.
# Needs Python; without it (or when the program cannot run here) a build leaves them out.
option(WITH_DOCS "make man pages and completions (needs Python, and a program that runs here)" ON)
find_package(Python3 COMPONENTS Interpreter)
if(NOT WITH_DOCS OR NOT Python3_FOUND OR CMAKE_CROSSCOMPILING OR NOT TARGET owui-spoa)
    message(STATUS "no man pages and completions in this build")
    return()
endif()

# The pages' day: reproducible builds set SOURCE_DATE_EPOCH.
string(TIMESTAMP docs_date "%Y-%m-%d" UTC)
set(docs "${CMAKE_CURRENT_BINARY_DIR}/docs")
set(generate "${CMAKE_CURRENT_SOURCE_DIR}/packaging/generate")
set(man_pages "${docs}/owui-spoa.8" "${docs}/owui-spoa.json.5")
set(completions "${docs}/owui-spoa.bash" "${docs}/_owui-spoa" "${docs}/owui-spoa.fish")
file(MAKE_DIRECTORY "${docs}")

add_custom_command(
    OUTPUT ${man_pages} ${completions}
    COMMAND "${CMAKE_COMMAND}" -E env PYTHONDONTWRITEBYTECODE=1 "${Python3_EXECUTABLE}"
            "${generate}/man.py" "$<TARGET_FILE:owui-spoa>" "${PROJECT_VERSION}" "${docs_date}" "${docs}"
    COMMAND "${CMAKE_COMMAND}" -E env PYTHONDONTWRITEBYTECODE=1 "${Python3_EXECUTABLE}"
            "${generate}/completions.py" "$<TARGET_FILE:owui-spoa>" "${docs}"
    DEPENDS owui-spoa "${generate}/man.py" "${generate}/completions.py" "${generate}/commands.py"
            packaging/man/owui-spoa.8.in docs/CONFIGURATION.md docs/schema/owui-spoa.schema.json
            docs/schema/tenants.schema.json
    WORKING_DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}" VERBATIM)
add_custom_target(docs ALL DEPENDS ${man_pages} ${completions})

# Pages are shipped compressed; without a time stamp, so that a second build gives the same bytes.
foreach(page IN LISTS man_pages)
    add_custom_command(OUTPUT "${page}.gz" COMMAND gzip -9nkf "${page}" DEPENDS "${page}" VERBATIM)
    list(APPEND compressed "${page}.gz")
endforeach()
add_custom_target(man ALL DEPENDS ${compressed})
install(FILES "${docs}/owui-spoa.8.gz" DESTINATION "${CMAKE_INSTALL_MANDIR}/man8")
install(FILES "${docs}/owui-spoa.json.5.gz" DESTINATION "${CMAKE_INSTALL_MANDIR}/man5")
install(FILES "${docs}/owui-spoa.bash" RENAME owui-spoa
        DESTINATION "${CMAKE_INSTALL_DATADIR}/bash-completion/completions")
install(FILES "${docs}/_owui-spoa" DESTINATION "${ZSH_COMPLETIONS_DIR}")
install(FILES "${docs}/owui-spoa.fish"
        DESTINATION "${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d")
