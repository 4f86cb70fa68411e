// Everything. A program may as well include the one header it needs.
#pragma once

#include "skein/chan.hpp"
#include "skein/context.hpp"
#include "skein/debug.hpp"
#include "skein/error.hpp"
#include "skein/go.hpp"
#include "skein/mutex.hpp"
#include "skein/net/poll.hpp"
#include "skein/once.hpp"
#include "skein/os/signal.hpp"
#include "skein/runtime.hpp"
#include "skein/select.hpp"
#include "skein/singleflight.hpp"
#include "skein/task.hpp"
#include "skein/task_group.hpp"
#include "skein/time.hpp"
#include "skein/wait_group.hpp"
