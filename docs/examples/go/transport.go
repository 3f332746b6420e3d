package main

// HTTP and JSON: section 1.

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

const (
	answerMax   = 2 << 20
	retryMax    = 1000000
	contentType = "application/json"
)

// refusal is what the verifier says, or somebody on the way: advice, never proof.
type refusal struct {
	status     int
	retryAfter time.Duration

	Code      string `json:"code"`
	Detail    string `json:"detail"`
	RequestID string `json:"request_id"`
	Retryable bool   `json:"retryable"`
}

// A stranger's text: quoted, so that no control character is printed.
func (r *refusal) Error() string {
	return fmt.Sprintf("refused: %q (status %d) %q (request %q)",
		r.Code, r.status, r.Detail, r.RequestID)
}

// later: section 1, of a code that this client does not know.
func (r *refusal) later() bool {
	return r.Retryable || r.status == http.StatusTooManyRequests || r.status >= 500
}

// vsockConn is the net.Conn that Go's own net package does not make of AF_VSOCK.
type vsockConn struct{ *os.File }

func (vsockConn) LocalAddr() net.Addr  { return &net.UnixAddr{Name: "vsock", Net: "vsock"} }
func (vsockConn) RemoteAddr() net.Addr { return &net.UnixAddr{Name: "vsock", Net: "vsock"} }

func dialVsock(cid, port uint32) (net.Conn, error) {
	fd, err := unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.Connect(fd, &unix.SockaddrVM{CID: cid, Port: port}); err != nil {
		unix.Close(fd)
		return nil, err
	}
	if err := unix.SetNonblock(fd, true); err != nil { // so that deadlines work
		unix.Close(fd)
		return nil, err
	}
	return vsockConn{os.NewFile(uintptr(fd), "vsock")}, nil
}

type dial func(ctx context.Context) (net.Conn, error)

// dialTo: unix:/PATH, vsock://CID:PORT or http://HOST:PORT. TLS would hide the secrets' names from
// the parent; what makes an answer authentic is its receipt.
func dialTo(url string) (dial, error) {
	over := func(network, address string) dial {
		return func(ctx context.Context) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		}
	}
	if path, ok := strings.CutPrefix(url, "unix:"); ok && path != "" {
		return over("unix", path), nil
	}
	if at, ok := strings.CutPrefix(url, "vsock://"); ok {
		left, right, _ := strings.Cut(at, ":")
		cid, err1 := strconv.ParseUint(left, 10, 32)
		port, err2 := strconv.ParseUint(right, 10, 32)
		if err1 == nil && err2 == nil {
			return func(context.Context) (net.Conn, error) {
				return dialVsock(uint32(cid), uint32(port))
			}, nil
		}
	}
	if at, ok := strings.CutPrefix(url, "http://"); ok {
		host, text, err1 := net.SplitHostPort(at)
		_, err2 := strconv.ParseUint(text, 10, 16)
		if err1 == nil && err2 == nil && host != "" {
			return over("tcp", at), nil
		}
	}
	return nil, failed(statusUsage, "%q is no address of a verifier: unix:/PATH, vsock://CID:PORT or"+
		" http://HOST:PORT", url)
}

// post: what a 200 answers, into `answer`; a *refusal for another status; an error that is neither
// that nor a *failure where the connection fails.
func post(ctx context.Context, url, path string, body []byte, answer any) error {
	dial, err := dialTo(url)
	if err != nil {
		return err
	}
	client := http.Client{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return dial(ctx)
			},
			DisableKeepAlives:  true,
			DisableCompression: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(body)
	}
	request, err := http.NewRequestWithContext(ctx, "POST", "http://verifier"+path, reader)
	if err != nil {
		return err
	}
	if body != nil {
		request.Header.Set("Content-Type", contentType)
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(io.LimitReader(response.Body, answerMax+1))
	if err != nil {
		return err
	}
	if len(data) > answerMax {
		return notAuthentic("it has more than %d bytes", answerMax)
	}
	if response.StatusCode != http.StatusOK {
		refused := refusal{status: response.StatusCode}
		if readObject(data, &refused) != nil {
			refused = refusal{status: response.StatusCode}
		}
		if s, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil && s > 0 && s < retryMax {
			refused.retryAfter = time.Duration(s) * time.Second
		}
		return &refused
	}
	if err := readObject(data, answer); err != nil {
		return notAuthentic("it is no JSON object of this protocol: %v", err)
	}
	return nil
}

// readObject: section 1's JSON. encoding/json takes members twice, and null for what is absent.
func readObject(data []byte, to any) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	if err := checkValue(decoder, 0); err != nil {
		return err
	}
	return json.Unmarshal(data, to) // refuses what stands behind the object
}

func checkValue(decoder *json.Decoder, depth int) error {
	token, err := decoder.Token()
	if err != nil {
		return err
	}
	delim, opens := token.(json.Delim)
	if depth == 0 && delim != '{' {
		return errors.New("no object")
	}
	if depth > 16 {
		return errors.New("too deep")
	}
	if !opens {
		if token == nil {
			return errors.New("null")
		}
		return nil
	}
	seen := map[string]bool{}
	for decoder.More() {
		if delim == '{' {
			key, err := decoder.Token()
			if err != nil {
				return err
			}
			// encoding/json takes "Receipt" for "receipt", and letters beyond ASCII for those that
			// they look like (U+017F, U+212A): this protocol has neither.
			if strings.ContainsFunc(key.(string), func(r rune) bool { return r >= utf8.RuneSelf }) {
				return fmt.Errorf("member %q is not ASCII", key)
			}
			name := strings.ToLower(key.(string))
			if seen[name] {
				return fmt.Errorf("member %q twice", name)
			}
			seen[name] = true
		}
		if err := checkValue(decoder, depth+1); err != nil {
			return err
		}
	}
	_, err = decoder.Token()
	return err
}

// binary is base64 in section 1's one spelling.
type binary []byte

func (b *binary) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	decoded, err := base64.StdEncoding.DecodeString(text)
	if err != nil || base64.StdEncoding.EncodeToString(decoded) != text {
		return errors.New("no base64 of the standard's")
	}
	*b = decoded
	return nil
}

func (b binary) MarshalJSON() ([]byte, error) {
	return json.Marshal(base64.StdEncoding.EncodeToString(b))
}
