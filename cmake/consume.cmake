# Builds and runs tests/consumer as a stranger would. Run with cmake -P and -D
#   MODE=find_package|add_subdirectory|lto  SOURCE=<skein>  BINARY=<skein's build>  WORK=<a directory>
#   CXX=<compiler>  CONFIG=<build type>
function(step)
  execute_process(COMMAND ${ARGV} RESULT_VARIABLE status)
  if(NOT status EQUAL 0)
    list(JOIN ARGV " " command)
    message(FATAL_ERROR "status ${status} from: ${command}")
  endif()
endfunction()

file(REMOVE_RECURSE ${WORK})
if(MODE STREQUAL "find_package")
  step(${CMAKE_COMMAND} --install ${BINARY} --prefix ${WORK}/prefix)
  set(where -DCMAKE_PREFIX_PATH=${WORK}/prefix)
else()
  set(where -DSKEIN_SOURCE=${SOURCE})
endif()
if(MODE STREQUAL "lto") # assembly names symbols that an optimizer of whole programs must not rename
  list(APPEND where -DCMAKE_INTERPROCEDURAL_OPTIMIZATION=ON -DCMAKE_POSITION_INDEPENDENT_CODE=ON)
endif()
step(${CMAKE_COMMAND} -G Ninja -S ${SOURCE}/tests/consumer -B ${WORK}/build
  -DCMAKE_BUILD_TYPE=${CONFIG} -DCMAKE_CXX_COMPILER=${CXX} ${where})
step(${CMAKE_COMMAND} --build ${WORK}/build)
step(${WORK}/build/consumer)
