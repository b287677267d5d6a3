# cmake -D SOURCE=... -D VERSION=... -D OUT=... -P write_build_id.cmake
set(id ${VERSION})
execute_process(COMMAND git -C ${SOURCE} rev-parse --short=12 HEAD OUTPUT_VARIABLE commit ERROR_QUIET
    OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE rc)
if(rc EQUAL 0)
    string(APPEND id -${commit})
    execute_process(COMMAND git -C ${SOURCE} diff --quiet HEAD -- src include cmake CMakeLists.txt RESULT_VARIABLE changed
        ERROR_QUIET)
    if(NOT changed EQUAL 0)
        string(APPEND id +changes)
    endif()
endif()
file(CONFIGURE OUTPUT ${OUT} CONTENT "#include \"build_id.h\"\nconst char ul_build_id[] = \"${id}\";\n" @ONLY)
