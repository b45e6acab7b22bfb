package main

import (
	"fmt"
	"syscall"
)

// mountSmall mounts a file system of that many MiB at dir.
func mountSmall(dir string, mib int) error {
	return syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", mib))
}

// mountAgain mounts the folder disk on top of itself.
func mountAgain(disk string) error { return syscall.Mount(disk, disk, "", syscall.MS_BIND, "") }

// remountReadOnly makes the mount of mountAgain read-only.
func remountReadOnly(disk string) error {
	return syscall.Mount("", disk, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, "")
}

// unmountNow unmounts the file system at dir even if it is in use.
func unmountNow(dir string) error { return syscall.Unmount(dir, syscall.MNT_DETACH) }
