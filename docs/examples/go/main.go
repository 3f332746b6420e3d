package main

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// awsRoot is SHA-256 of the certificate of AWS's root (section 3).
const awsRoot = "641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b"

// repeated is a flag that may be given more than once.
type repeated []string

func (r *repeated) String() string         { return strings.Join(*r, " ") }
func (r *repeated) Set(value string) error { *r = append(*r, value); return nil }

// write makes DIR/NAME, mode 0400, whole or not at all. DIR is to be a file system in memory.
func write(dir string, item released) error {
	path := filepath.Join(dir, item.name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(path), "new") // mode 0600
	if err != nil {
		return err
	}
	_, err = file.Write(item.value)
	if err = errors.Join(err, file.Chmod(0o400), file.Close()); err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		os.Remove(file.Name())
	}
	return err
}

func number(text string) (uint32, error) {
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil || n == 0 {
		return 0, failed(statusUsage, "%q is no version: 1 to %d", text, versionMax)
	}
	return uint32(n), nil
}

// parseWanted reads NAME[@VERSION]... and NAME=N...
func parseWanted(names, floors []string) ([]wanted, error) {
	var err error
	minimum := map[string]uint32{}
	for _, floor := range floors {
		name, text, _ := strings.Cut(floor, "=")
		if minimum[name], err = number(text); err != nil {
			return nil, err
		}
	}
	var secrets []wanted
	for _, text := range names {
		name, version, named := strings.Cut(text, "@")
		s := wanted{Name: name, MinVersion: minimum[name]}
		if named {
			if s.Version, err = number(version); err != nil {
				return nil, err
			}
		}
		delete(minimum, name)
		secrets = append(secrets, s)
	}
	for name := range minimum {
		return nil, failed(statusUsage, "--min-version names %q, which is not asked for", name)
	}
	return secrets, nil
}

func loadRoot(path string) (hash [sha256.Size]byte, err error) {
	if path == "" {
		_, err = hex.Decode(hash[:], []byte(awsRoot))
		return hash, err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return hash, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return hash, fmt.Errorf("%s: no PEM", path)
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return hash, err
	}
	fmt.Fprintln(os.Stderr, "warning: --root: a root other than AWS's is trusted")
	return sha256.Sum256(certificate.Raw), nil
}

// run asks once, or again and again; then it keeps the old files where it is refused.
func run(c *client, secrets []wanted, dir string, refresh time.Duration) error {
	for first := true; ; {
		values, err := c.release(secrets)
		for _, item := range values {
			if err = write(dir, item); err != nil {
				err = failed(statusDelivery, "%v", err)
				break
			}
			deprecated := ""
			if item.deprecated {
				deprecated = ", of a deprecated build"
			}
			fmt.Printf("%s version %d, %d bytes%s\n", item.name, item.version, len(item.value), deprecated)
		}
		if err != nil && (first || refresh == 0) {
			return err
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "get-secrets:", err)
		}
		if refresh == 0 {
			return nil
		}
		first = false
		time.Sleep(refresh)
	}
}

func start() error {
	var floors repeated
	c := client{held: map[string]uint32{}}
	flag.StringVar(&c.verifier, "verifier", "", "unix:/PATH, vsock://CID:PORT or http://HOST:PORT")
	issuer := flag.String("issuer", "", "the issuer keys that are trusted")
	store := flag.String("store", "", "the only store to believe")
	root := flag.String("root", "", "for the simulator: a root instead of AWS's, PEM")
	flag.StringVar(&c.nsm, "nsm", "/dev/nsm", "a device, or unix:/PATH")
	application := flag.String("application", "", "bytes of the application's own")
	flag.Var(&floors, "min-version", "NAME=N")
	timeout := flag.Float64("timeout-s", 120, "give up after that")
	refresh := flag.Float64("refresh-s", 0, "ask again that often")
	dir := flag.String("dir", "", "where to write them, a tmpfs")
	flag.Parse()

	_, err := dialTo(c.verifier)
	if err != nil {
		return err
	}
	if c.issuers, err = loadIssuers(*issuer); err != nil {
		return err
	}
	var storeErr, applicationErr, rootErr error
	if *store != "" {
		c.store, storeErr = hex.DecodeString(*store)
	}
	c.application, applicationErr = hex.DecodeString(*application)
	c.root, rootErr = loadRoot(*root)
	if err := errors.Join(storeErr, applicationErr, rootErr); err != nil {
		return failed(statusUsage, "%v", err)
	}
	if len(c.application) > applicationMax || (c.store != nil && len(c.store) != 16) || *dir == "" {
		return failed(statusUsage, "--application has at most %d bytes, --store 16; --dir is needed",
			applicationMax)
	}
	secrets, err := parseWanted(flag.Args(), floors)
	if err != nil {
		return err
	}
	seconds := func(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
	c.timeout = seconds(*timeout)
	return run(&c, secrets, *dir, seconds(*refresh))
}

func main() {
	if err := start(); err != nil {
		fmt.Fprintln(os.Stderr, "get-secrets:", err)
		var ended *failure
		if errors.As(err, &ended) {
			os.Exit(ended.status)
		}
		os.Exit(statusUsage)
	}
}
