package main

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// keeper keeps the bodies of puts until they are checked: in memory allocated before the
// measurement, and the rest in a file.
type keeper struct {
	memory []byte
	used   atomic.Int64 // bytes of memory used or requested
	file   *os.File
	spilt  atomic.Int64 // bytes in the file
}

// kept is the location of a body.
type kept struct {
	at, size int64
	inFile   bool
}

// newKeeper returns a keeper with memory bytes of memory, and a file in dir for the rest.
func newKeeper(memory int64, dir string) (*keeper, error) {
	f, err := os.CreateTemp(dir, "bodies")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil { // it exists as long as it is open
		return nil, errors.Join(err, f.Close())
	}
	k := &keeper{file: f}
	if k.memory, err = unix.Mmap(-1, 0, int(memory), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON); err != nil {
		return nil, errors.Join(fmt.Errorf("%d bytes of memory for bodies: %w; reduce -keep", memory, err), f.Close())
	}
	// Touch each page, so that the kernel allocates it now and not during a put.
	for i := 0; i < len(k.memory); i += os.Getpagesize() {
		k.memory[i] = 0
	}
	return k, nil
}

// room returns where to read a body of size bytes. store must be called once it is there.
func (k *keeper) room(size int64) (to []byte, where kept) {
	end := k.used.Add(size)
	if end <= int64(len(k.memory)) {
		return k.memory[end-size : end], kept{at: end - size, size: size}
	}
	return make([]byte, size), kept{at: k.spilt.Add(size) - size, size: size, inFile: true}
}

// store keeps what was read into the memory that room returned.
func (k *keeper) store(body []byte, where kept) error {
	if !where.inFile {
		return nil
	}
	_, err := k.file.WriteAt(body, where.at)
	return err
}

// load returns a body.
func (k *keeper) load(where kept) ([]byte, error) {
	if !where.inFile {
		return k.memory[where.at : where.at+where.size], nil
	}
	body := make([]byte, where.size)
	_, err := k.file.ReadAt(body, where.at)
	return body, err
}

// reset discards all bodies.
func (k *keeper) reset() error {
	k.used.Store(0)
	k.spilt.Store(0)
	return k.file.Truncate(0)
}
