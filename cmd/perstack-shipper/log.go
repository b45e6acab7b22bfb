package main

import (
	"os"

	"go.uber.org/zap"
	"go.uber.org/zap/buffer"
	"go.uber.org/zap/zapcore"
	"golang.org/x/sys/unix"

	"perstack-shipper/config"
	"perstack-shipper/shipper/run"
)

// newLogger returns the logger of what the program tells about itself: to stderr, as
// text for a person on a terminal and as JSON lines elsewhere.
func newLogger(options config.Log, to *statusLine) *zap.Logger {
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
	if options.LogFormat == "console" || options.LogFormat == "auto" && isTerminal(to.file) {
		encoding.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
		encoding.ConsoleSeparator = "  "
		encoder = consoleEncoder{zapcore.NewConsoleEncoder(encoding)}
	}
	return zap.New(zapcore.NewCore(encoder, to, level))
}

// isTerminal tells whether a person is at the other end of file. It leaves file's mode alone, which
// Fd would not: the agent may share it.
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

// consoleEncoder prints sentences for people, without the fields that name the things in them. Of
// an entry that has a field of run.SentenceKey it prints the text of that field. What is for
// debugging has no sentence, and keeps its fields.
type consoleEncoder struct{ zapcore.Encoder }

func (e consoleEncoder) Clone() zapcore.Encoder { return consoleEncoder{e.Encoder.Clone()} }

func (e consoleEncoder) EncodeEntry(entry zapcore.Entry, fields []zapcore.Field) (*buffer.Buffer, error) {
	for _, f := range fields {
		if f.Type == zapcore.SkipType && f.Key == run.SentenceKey {
			entry.Message = f.String
		}
	}
	if entry.Level > zapcore.DebugLevel {
		fields = nil
	}
	return e.Encoder.EncodeEntry(entry, fields)
}
