// What Go's vocabulary costs: the work of ../skein.cpp under the same names, for those that the
// standard library has.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	crowd      = 8    // goroutines that want the same lock
	keys       = 1024 // in the maps
	batch      = 100  // goroutines of one wait group
	children   = 1000 // of one context
	writeEvery = 10   // nine reads to a write
)

// share has so many goroutines call f(number of operations), n of them together.
func share(goroutines, n int, f func(each int)) {
	var all sync.WaitGroup
	for range goroutines {
		all.Go(func() { f(n / goroutines) })
	}
	all.Wait()
}

func everywhere() int { return runtime.GOMAXPROCS(0) }

// Locks.

func lock(m *sync.Mutex, n int) {
	for range n {
		m.Lock()
		m.Unlock()
	}
}

func mutex(n int) {
	var m sync.Mutex
	lock(&m, n)
}

func mutexContended(n int) {
	var m sync.Mutex
	share(crowd, n, func(each int) { lock(&m, each) })
}

func read(m *sync.RWMutex, n int) {
	for range n {
		m.RLock()
		m.RUnlock()
	}
}

func sharedMutexRead(n int) {
	var m sync.RWMutex
	read(&m, n)
}

func sharedMutexReadAll(n int) {
	var m sync.RWMutex
	share(everywhere(), n, func(each int) { read(&m, each) })
}

func sharedMutexWrite(n int) {
	var m sync.RWMutex
	for range n {
		m.Lock()
		m.Unlock()
	}
}

func sharedMutexMixed(n int) {
	var m sync.RWMutex
	share(everywhere(), n, func(each int) {
		for i := 1; i <= each; i++ {
			if i%writeEvery != 0 {
				m.RLock()
				m.RUnlock()
			} else {
				m.Lock()
				m.Unlock()
			}
		}
	})
}

// There and back: each waits for its turn and passes it on.
func conditionVariable(n int) {
	var m sync.Mutex
	changed := [2]*sync.Cond{sync.NewCond(&m), sync.NewCond(&m)}
	turn := 0
	play := func(me int) {
		for range n {
			m.Lock()
			for turn != me {
				changed[me].Wait()
			}
			turn = 1 - me
			changed[turn].Signal()
			m.Unlock()
		}
	}
	var other sync.WaitGroup
	other.Go(func() { play(1) })
	play(0)
	other.Wait()
}

func waitGroup(n int) {
	var wg sync.WaitGroup
	for range n {
		wg.Add(1)
		wg.Done()
		wg.Wait()
	}
}

func waitGroupFanOut(n int) {
	var wg sync.WaitGroup
	for range n / batch {
		for range batch {
			wg.Go(func() {})
		}
		wg.Wait()
	}
}

func once(n int) {
	var o sync.Once
	for range n {
		o.Do(func() {})
	}
}

// What is shared.

type buffer [1024]byte

func borrow(spare *sync.Pool, n int) {
	for range n {
		b := spare.Get().(*buffer)
		b[0] = 1
		spare.Put(b)
	}
}

func newPool() *sync.Pool { return &sync.Pool{New: func() any { return new(buffer) }} }

func pool(n int) { borrow(newPool(), n) }

func poolAll(n int) {
	spare := newPool()
	share(everywhere(), n, func(each int) { borrow(spare, each) })
}

// boxed holds the keys and values as sync.Map takes them, so that no call has to allocate one.
var boxed = func() (b [keys]any) {
	for k := range b {
		b[k] = uint64(k)
	}
	return
}()

var found uint64

func filledMap() *sync.Map {
	m := new(sync.Map)
	for _, k := range boxed {
		m.Store(k, k)
	}
	return m
}

func loadOne(m *sync.Map, i int) uint64 {
	v, _ := m.Load(boxed[i%keys])
	return v.(uint64)
}

func mapLoad(n int) {
	m := filledMap()
	for i := range n {
		found = loadOne(m, i)
	}
}

func mapStore(n int) {
	m := filledMap()
	for i := range n {
		m.Store(boxed[i%keys], boxed[i%keys])
	}
}

func mapLoadOrStore(n int) {
	m := filledMap()
	for i := range n {
		v, _ := m.LoadOrStore(boxed[i%keys], boxed[i%keys])
		found = v.(uint64)
	}
}

func mapMixed(n int) {
	m := filledMap()
	share(everywhere(), n, func(each int) {
		sum := uint64(0)
		for i := 1; i <= each; i++ {
			if i%writeEvery != 0 {
				sum += loadOne(m, i)
			} else {
				m.Store(boxed[i%keys], boxed[i%keys])
			}
		}
		runtime.KeepAlive(sum)
	})
}

// Contexts and timers.

func contextCancel(n int) {
	parent, end := context.WithCancel(context.Background())
	defer end()
	for range n {
		_, cancel := context.WithCancel(parent)
		cancel()
	}
}

func contextTimeout(n int) {
	parent, end := context.WithCancel(context.Background())
	defer end()
	for range n {
		_, cancel := context.WithTimeout(parent, time.Hour)
		cancel()
	}
}

type key int

func contextValue(n int) {
	ctx := context.WithValue(context.Background(), key(0), 42)
	for k := range 4 {
		ctx = context.WithValue(ctx, key(k+1), k+1)
	}
	sum := 0
	for range n {
		sum += ctx.Value(key(0)).(int)
	}
	runtime.KeepAlive(sum)
}

func contextTree(n int) {
	cancels := make([]context.CancelFunc, 0, children)
	for range n / children {
		root, end := context.WithCancel(context.Background())
		for range children {
			_, cancel := context.WithCancel(root)
			cancels = append(cancels, cancel)
		}
		end()
		for _, cancel := range cancels {
			cancel()
		}
		cancels = cancels[:0]
	}
}

func timer(n int) {
	for range n {
		time.NewTimer(time.Hour).Stop()
	}
}

func timerReset(n int) {
	t := time.NewTimer(time.Hour)
	defer t.Stop()
	for range n {
		t.Reset(time.Hour)
	}
}

func afterFunc(n int) {
	for range n {
		time.AfterFunc(time.Hour, func() {}).Stop()
	}
}

type workload struct {
	name string
	run  func(n int)
}

var workloads = []workload{
	{"mutex", mutex},
	{"mutex_contended", mutexContended},
	{"shared_mutex_read", sharedMutexRead},
	{"shared_mutex_read_all", sharedMutexReadAll},
	{"shared_mutex_write", sharedMutexWrite},
	{"shared_mutex_mixed", sharedMutexMixed},
	{"condition_variable", conditionVariable},
	{"wait_group", waitGroup},
	{"wait_group_fan_out", waitGroupFanOut},
	{"once", once},
	{"pool", pool},
	{"pool_all", poolAll},
	{"map_load", mapLoad},
	{"map_store", mapStore},
	{"map_load_or_store", mapLoadOrStore},
	{"map_mixed", mapMixed},
	{"context_cancel", contextCancel},
	{"context_timeout", contextTimeout},
	{"context_value", contextValue},
	{"context_tree", contextTree},
	{"timer", timer},
	{"timer_reset", timerReset},
	{"after_func", afterFunc},
}

func (w workload) time(n int) time.Duration {
	start := time.Now()
	w.run(n)
	return time.Since(start)
}

// median warms up with the runs that find out how many operations fill a round.
func (w workload) median() float64 {
	const round = 60 * time.Millisecond
	runtime.GC()
	n := children
	took := w.time(n)
	for ; took < round/4; took = w.time(n) {
		n *= 4
	}
	n = (n/children*int(round)/int(took) + 1) * children
	var each [5]float64
	for i := range each {
		each[i] = float64(w.time(n)) / float64(n)
	}
	slices.Sort(each[:])
	return each[len(each)/2]
}

func main() {
	procs := flag.Int("procs", 2, "processors")
	only := flag.String("only", "", "names between commas")
	flag.Parse()
	if flag.NArg() != 0 || *procs < 1 {
		flag.Usage()
		os.Exit(2)
	}
	runtime.GOMAXPROCS(*procs)
	names := strings.Split(*only, ",")
	for _, w := range workloads {
		if *only == "" || slices.Contains(names, w.name) {
			fmt.Printf("%s %d %.2f\n", w.name, *procs, w.median())
		}
	}
}
