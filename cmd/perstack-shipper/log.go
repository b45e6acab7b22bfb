package main

import (
	"os"

	"go.uber.org/zap"
	"go.uber.org/zap/buffer"
	"go.uber.org/zap/zapcore"

	"perstack-shipper/config"
	"perstack-shipper/shipper/run"
	"perstack-shipper/shipper/terminal"
)

// stderr is shared by the messages and the status line.
var stderr = &terminal.Line{File: os.Stderr}

// newLogger returns the logger of the program's messages: to stderr, as text for a person at a
// terminal and as JSON lines otherwise.
func newLogger(options config.Log) *zap.Logger {
	level, err := zapcore.ParseLevel(options.LogLevel)
	if err != nil { // config has checked the name
		level = zapcore.InfoLevel
	}
	encoding := zapcore.EncoderConfig{
		TimeKey: "time", LevelKey: "level", MessageKey: "message",
		EncodeTime:     zapcore.RFC3339NanoTimeEncoder,
		EncodeLevel:    zapcore.LowercaseLevelEncoder,
		EncodeDuration: zapcore.StringDurationEncoder,
	}
	encoder := zapcore.NewJSONEncoder(encoding)
	if options.LogFormat == "console" || options.LogFormat == "auto" && terminal.Is(stderr.File) {
		encoding.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
		encoding.ConsoleSeparator = "  "
		encoder = consoleEncoder{zapcore.NewConsoleEncoder(encoding)}
	}
	return zap.New(zapcore.NewCore(encoder, stderr, level))
}

// consoleEncoder prints messages for people, without the fields that repeat parts of them. If an
// entry has a field run.SentenceKey, it prints the text of that field instead of the message. Debug
// messages are no sentences and keep their fields.
type consoleEncoder struct{ zapcore.Encoder }

// Clone keeps the wrapper, which the embedded method would drop.
func (e consoleEncoder) Clone() zapcore.Encoder { return consoleEncoder{e.Encoder.Clone()} }

// EncodeEntry encodes the message as people read it.
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

// statusFor returns what shows a status line. It is nil if no person would see one: stderr is not a
// terminal, or the messages are for machines.
func statusFor(options config.Log) func(string) {
	if options.LogFormat == "json" || !terminal.Is(stderr.File) {
		return nil
	}
	return stderr.Show
}
