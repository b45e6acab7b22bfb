package main

import (
	"os"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/sys/unix"

	"perstack-shipper/config"
)

// newLogger returns the logger of what the program tells about itself: to file, which is stderr, as text for a person
// on a terminal and as JSON lines elsewhere.
func newLogger(options config.Log, file *os.File) *zap.Logger {
	// config has checked the name.
	level, err := zapcore.ParseLevel(options.LogLevel)
	if err != nil {
		level = zapcore.InfoLevel
	}
	encoding := zapcore.EncoderConfig{
		TimeKey: "time", LevelKey: "level", MessageKey: "message",
		EncodeTime:     zapcore.RFC3339NanoTimeEncoder,
		EncodeLevel:    zapcore.LowercaseLevelEncoder,
		EncodeDuration: zapcore.StringDurationEncoder,
	}
	encoder := zapcore.NewJSONEncoder(encoding)
	if options.LogFormat == "console" || options.LogFormat == "auto" && isTerminal(file) {
		encoding.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
		encoding.ConsoleSeparator = "  "
		encoder = zapcore.NewConsoleEncoder(encoding)
	}
	return zap.New(zapcore.NewCore(encoder, zapcore.Lock(file), level))
}

// isTerminal tells whether a person is at the other end of file. It leaves file's mode alone, which Fd would not:
// the agent may share it.
func isTerminal(file *os.File) bool {
	raw, err := file.SyscallConn()
	if err != nil {
		return false
	}
	terminal := false
	err = raw.Control(func(fd uintptr) {
		_, err := unix.IoctlGetWinsize(int(fd), unix.TIOCGWINSZ)
		terminal = err == nil
	})
	return err == nil && terminal
}
