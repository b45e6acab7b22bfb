package cloudwatch

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"testing/iotest"
)

// ReadFrom copies all there is, however it comes, says what went wrong, and takes memory once.
func TestConnReadFrom(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	c := &conn{Conn: near}
	got := make(chan []byte, 1)
	go func() {
		all, _ := io.ReadAll(far)
		got <- all
	}()
	text := bytes.Repeat([]byte("a body "), copyBuffer/3)
	var sent []byte
	for _, r := range []io.Reader{bytes.NewReader(text), iotest.HalfReader(bytes.NewReader(text)), iotest.DataErrReader(bytes.NewReader(text)), bytes.NewReader(nil)} {
		n, err := c.ReadFrom(r)
		if err != nil || n != int64(len(text)) && n != 0 {
			t.Errorf("%d bytes, %v", n, err)
		}
		sent = append(sent, text[:n]...)
	}
	fails := errors.New("it broke")
	if n, err := c.ReadFrom(io.MultiReader(bytes.NewReader(text[:100]), iotest.ErrReader(fails))); n != 100 || !errors.Is(err, fails) {
		t.Errorf("%d bytes, %v", n, err)
	}
	sent = append(sent, text[:100]...)
	r := bytes.NewReader(nil)
	if n := testing.AllocsPerRun(100, func() { c.ReadFrom(r) }); n > 1 {
		t.Errorf("%.0f allocations a body", n)
	}
	near.Close()
	if all := <-got; !bytes.Equal(all, sent) {
		t.Errorf("%d bytes arrived of %d", len(all), len(sent))
	}
	if _, err := c.ReadFrom(bytes.NewReader(text)); err == nil {
		t.Error("a closed connection takes bytes")
	}
}
