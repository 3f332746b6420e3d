// Gets secrets from a Vouchsafe verifier, from inside a Nitro enclave.
//
// Written from docs/PROTOCOL.md alone; "section N" is its section. Every check that it demands of a
// client is here: a copy that leaves one out takes secrets from whoever runs the parent instance.
// nsm.go speaks with the NSM, transport.go with the verifier, cose.go opens what is signed,
// accept.go believes an answer or does not, and main.go is a program around it.
package main

import (
	"context"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// What the program ends with, as vouchsafe-agent(1) does.
const (
	statusRefused      = 120
	statusNotReached   = 121
	statusNotAuthentic = 122
	statusNSM          = 123
	statusDelivery     = 124
	statusUsage        = 125
)

// failure is the end: no secret, and the status that says why.
type failure struct {
	status int
	text   string
}

func (f *failure) Error() string { return f.text }

func failed(status int, format string, args ...any) error {
	return &failure{status, fmt.Sprintf(format, args...)}
}

// notAuthentic: an answer that is not the verifier's, or not to this request.
func notAuthentic(format string, args ...any) error {
	return failed(statusNotAuthentic, "answer not authentic: "+format, args...)
}

// Section 1, limits.
const (
	challengeLen   = 56
	secretMax      = 65536
	secretsMax     = 16
	secretNameMax  = 128
	versionMax     = 1<<31 - 1
	applicationMax = 256
	pauseFirst     = 500 * time.Millisecond
	pauseMax       = 16 * time.Second
)

var secretName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]*(/[a-z0-9][a-z0-9._-]*)*$`)

// Section 1, what an agent does with a refusal.
var challengeAgain = map[string]bool{
	"challenge_unknown": true, "challenge_expired": true, "challenge_redeemed": true}
var clockAgain = map[string]bool{"document_stale": true, "document_from_future": true,
	"certificate_expired": true, "certificate_not_yet_valid": true}

// wanted is one secret of a request; 0 where a number is left open.
type wanted struct {
	Name       string `json:"name"`
	Version    uint32 `json:"version,omitempty"`
	MinVersion uint32 `json:"min_version,omitempty"`
}

// released is one secret that arrived. Go moves and copies memory as it likes: what must be wiped
// and never swapped is better in vouchsafe-agent's hands.
type released struct {
	name       string
	version    uint32
	value      []byte
	deprecated bool // only a deprecated measurement granted it: time for a new build
}

// client is who asks. All of it, and the floors, belong into the measured image: whoever chooses
// them chooses the secrets.
type client struct {
	verifier    string
	issuers     map[string]*ecdsa.PublicKey // by kid; from loadIssuers
	root        [sha256.Size]byte           // of the certificate
	store       []byte                      // the only one to believe; nil: the first that answers
	nsm         string
	application []byte
	timeout     time.Duration
	held        map[string]uint32 // the highest version that this process has held
}

func checkWanted(secrets []wanted) error {
	seen := map[string]bool{}
	for _, s := range secrets {
		if len(s.Name) > secretNameMax || !secretName.MatchString(s.Name) {
			return failed(statusUsage, "%q is no secret's name", s.Name)
		}
		if s.Version > versionMax || s.MinVersion > versionMax {
			return failed(statusUsage, "%s: versions are 1 to %d", s.Name, versionMax)
		}
		seen[s.Name] = true
	}
	if len(secrets) < 1 || len(secrets) > secretsMax || len(seen) != len(secrets) {
		return failed(statusUsage, "ask for 1 to %d secrets, each once", secretsMax)
	}
	return nil
}

// requestText: section 3, what the document binds.
func requestText(secrets []wanted) string {
	number := func(n uint32) string {
		if n == 0 {
			return "-"
		}
		return fmt.Sprint(n)
	}
	var text strings.Builder
	for _, s := range secrets {
		fmt.Fprintf(&text, "%s %s %s\n", s.Name, number(s.Version), number(s.MinVersion))
	}
	return text.String()
}

// release gives all of `secrets`, or an error. It tries again as section 1 says.
func (c *client) release(secrets []wanted) ([]released, error) {
	if err := checkWanted(secrets); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.timeout)
	defer cancel()
	challenges, clocks, pause := 3, 1, pauseFirst
	for {
		values, err := c.attempt(ctx, secrets)
		if err == nil {
			return values, nil
		}
		var final *failure
		if errors.As(err, &final) {
			return nil, err
		}
		wait := pause
		var refused *refusal
		if errors.As(err, &refused) {
			switch {
			case challengeAgain[refused.Code] && challenges > 0:
				challenges--
				continue
			case clockAgain[refused.Code] && clocks > 0:
				clocks--
				continue
			case challengeAgain[refused.Code] || clockAgain[refused.Code] || !refused.later():
				return nil, failed(statusRefused, "%v", err)
			}
			wait = max(pause, refused.retryAfter)
		}
		deadline, _ := ctx.Deadline()
		if time.Until(deadline) <= wait {
			return nil, failed(statusNotReached, "no decision in %v; last: %v", c.timeout, err)
		}
		time.Sleep(wait)
		pause = min(2*pause, pauseMax)
	}
}

// attempt has a challenge, a key and a document of its own.
func (c *client) attempt(ctx context.Context, secrets []wanted) ([]released, error) {
	var challenge struct {
		Challenge binary `json:"challenge"`
	}
	if err := post(ctx, c.verifier, "/v1/challenge", nil, &challenge); err != nil {
		return nil, err
	}
	// Section 2: nothing of another length gets into a document.
	if len(challenge.Challenge) != challengeLen {
		return nil, notAuthentic("a challenge of %d bytes", len(challenge.Challenge))
	}
	key, err := newKey(c.nsm)
	if err != nil {
		return nil, err
	}
	doc, err := c.attest(key, challenge.Challenge, secrets)
	if err != nil {
		return nil, err
	}
	body, err := marshalRequest(doc, secrets)
	if err != nil {
		return nil, err
	}
	var got answer
	if err := post(ctx, c.verifier, "/v1/release", body, &got); err != nil {
		var refused *refusal
		if errors.As(err, &refused) && refused.Code == "refused" && !refused.later() {
			return nil, failed(statusRefused, "%v\n  PCR0 %x\n  PCR1 %x\n  PCR2 %x", err,
				doc.PCRs[0], doc.PCRs[1], doc.PCRs[2])
		}
		return nil, err
	}
	values, err := c.accept(secrets, &got, challenge.Challenge, doc, key)
	if err != nil {
		return nil, err
	}
	for _, v := range values {
		c.held[v.name] = max(v.version, c.held[v.name])
	}
	return values, nil
}

// attest: section 3, the document for one request.
func (c *client) attest(key *ecdh.PrivateKey, challenge []byte, secrets []wanted) (*document, error) {
	public, err := x509.MarshalPKIXPublicKey(key.PublicKey())
	if err != nil {
		return nil, err
	}
	text := sha256.Sum256([]byte(requestText(secrets)))
	userData := append([]byte("vouchsafe/1 release"), text[:]...)
	userData = append(userData, c.application...)
	doc, err := newDocument(c.nsm, challenge, public, userData)
	if err != nil {
		return nil, err
	}
	// Section 5, 5, second half: before anything is sent.
	if doc.root != c.root {
		return nil, failed(statusNSM, "the NSM's document stands under another root than the"+
			" trusted one: SHA-256 %x", doc.root)
	}
	return doc, nil
}
