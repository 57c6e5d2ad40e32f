# Compiles every deploy/schemas/*.yaml and deploy/crds/*.yaml into the room as text, so the binary needs no file at run time.
file(GLOB weft_schema_files CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/../../deploy/schemas/*.yaml
     ${CMAKE_CURRENT_LIST_DIR}/../../deploy/crds/*.yaml)
set(weft_schema_texts ${CMAKE_CURRENT_BINARY_DIR}/schema_texts.cpp)
add_custom_command(
    OUTPUT ${weft_schema_texts}
    COMMAND ${CMAKE_COMMAND} -DOUTPUT=${weft_schema_texts} "-DFILES=${weft_schema_files}"
            -P ${CMAKE_CURRENT_LIST_DIR}/schema_texts.cmake
    DEPENDS ${weft_schema_files} ${CMAKE_CURRENT_LIST_DIR}/schema_texts.cmake
    VERBATIM)
target_sources(weft_apiserver PRIVATE ${weft_schema_texts})
if(TARGET apiserver_test)
    target_compile_definitions(apiserver_test PRIVATE WEFT_EXAMPLES="${CMAKE_CURRENT_LIST_DIR}/../../examples")
endif()
