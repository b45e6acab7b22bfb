package readback

// This file finds the streams that may hold a job.

import (
	"context"
	"slices"
	"strings"
	"unicode/utf8"

	"perstack-shipper/batch"
	"perstack-shipper/shipper/cloudwatch"
)

// streams returns the names of the streams to read first: those given in the query, or else those
// that the template yields. They need not exist.
func (c *collected) streams(ctx context.Context) ([]string, error) {
	if len(c.q.Streams) > 0 {
		return slices.Compact(slices.Sorted(slices.Values(c.q.Streams))), nil
	}
	t := resolve(c.template, c.q.Job, c.q.Run)
	switch {
	case len(t.fixed) == 1:
		return []string{batch.StreamName(t.fixed[0])}, nil
	case !t.named:
		return nil, nil // any stream may hold the job, so collect searches them
	}
	var all []string
	err := pages(ctx, c.src, CallError{Action: "DescribeLogStreams"}, func(token string) ([]string, string, bool, error) {
		names, next, err := c.src.StreamsPage(ctx, t.prefix(), token)
		return names, next, next == "", err
	}, func(name string) error {
		if t.matches(name) {
			all = append(all, name)
		}
		return nil
	})
	return all, err
}

// ownStream returns the stream into which the template puts all lines of the job, or "" if it uses
// several streams for a job, or one for several jobs.
func (c *collected) ownStream() string {
	if c.q.Job == "" || c.q.Run != "" {
		return ""
	}
	if t := resolve(c.template, c.q.Job, ""); t.named && len(t.fixed) == 1 {
		return batch.StreamName(t.fixed[0])
	}
	return ""
}

// search returns the streams of the group that have events of the job or run.
func (c *collected) search(ctx context.Context) ([]string, error) {
	pattern := searchPattern(c.q.Job)
	if c.q.Job == "" {
		pattern = searchPattern(c.q.Run)
	}
	found, of, own := map[string]bool{}, c.q.selection(), c.ownStream()
	err := pages(ctx, c.src, CallError{Action: "FilterLogEvents"}, func(token string) ([]cloudwatch.Event, string, bool, error) {
		events, next, err := c.src.FilterPage(ctx, pattern, "", of, token)
		return events, next, next == "", err
	}, func(ev cloudwatch.Event) error {
		if found[ev.Stream] {
			return nil
		}
		got, err := batch.Restore([]byte(ev.Message))
		switch {
		case err != nil:
		case got.Record == "seal":
			// If the job's own stream was deleted, the seal in another stream still
			// names it.
			var says Seal
			found[ev.Stream] = own != "" && parse(got.Line, &says) && slices.Contains(says.Streams, own)
		default:
			found[ev.Stream] = (c.q.Job == "" || got.JobID == c.q.Job) && (c.q.Run == "" || got.RunID == c.q.Run)
		}
		return nil
	})
	names := make([]string, 0, len(found))
	for name, is := range found {
		if is {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, err
}

// resolved is a template with the ids of a query filled in.
type resolved struct {
	fixed []string // see [batch.Template.Fixed]
	named bool     // the template uses an id of the query
}

func resolve(template batch.Template, job, run string) resolved {
	var t resolved
	t.fixed, t.named = template.Fixed(job, run)
	for i, part := range t.fixed {
		if part != "" && len(t.fixed) > 1 {
			t.fixed[i] = legal.Replace(part)
		}
	}
	return t
}

// legal replaces characters in a piece of a stream's name as [batch.StreamName] does in the whole
// name. It does not cut the length.
var legal = strings.NewReplacer(":", "-", "*", "-")

// prefix returns the beginning that all names of the template share.
func (t resolved) prefix() string {
	if t.fixed[0] == "" {
		return ""
	}
	return batch.StreamName(t.fixed[0])
}

// matches reports whether the template can yield name.
func (t resolved) matches(name string) bool {
	// A name this long may have been cut off at any point.
	if len(name) > batch.MaxStreamNameBytes-utf8.UTFMax {
		return strings.HasPrefix(name, t.prefix())
	}
	name, ok := strings.CutPrefix(name, t.fixed[0])
	if !ok {
		return false
	}
	end := len(t.fixed) - 1
	for _, part := range t.fixed[1:end] {
		if _, name, ok = strings.Cut(name, part); !ok {
			return false
		}
	}
	return strings.HasSuffix(name, t.fixed[end])
}

// maxPattern bounds the length of a filter pattern. The service takes 1,024 characters.
const maxPattern = 256

// searchPattern returns a filter pattern that matches every event with the id, and maybe others. It
// is the id as a quoted term. If JSON may escape some characters of the id, it is the longest piece
// without such characters.
func searchPattern(id string) string {
	longest := ""
	for _, piece := range strings.FieldsFunc(id, func(r rune) bool {
		return r < 0x20 || r > 0x7e || strings.ContainsRune(`"\/<>&'`, r)
	}) {
		if piece = strings.TrimSpace(piece); len(piece) > len(longest) {
			longest = piece
		}
	}
	if longest == "" {
		return "" // all events
	}
	return `"` + longest[:min(len(longest), maxPattern)] + `"`
}
