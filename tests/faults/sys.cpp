// The seam as the library has it, with a clock that can be hooked; it comes before the library's when linked.
#include "base/sys.cpp"
