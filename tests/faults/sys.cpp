// The seam as the library has it, with all its faults; it comes before the library's when linked.
#include "base/sys.cpp"
