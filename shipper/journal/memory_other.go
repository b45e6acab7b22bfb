//go:build unix && !linux

package journal

// memoryWorks: there are no memfds here, and InMemory says so.
const memoryWorks = false

func newMemoryStore() store { panic("journal: InMemory gives no folder on this system") }
