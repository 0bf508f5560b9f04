package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
)

const maxBytes = 5 << 30

// errPoison marks events that can never be handled. A person has to look at them.
var errPoison = errors.New("cannot be handled")

// Store keeps files in a folder, and next to each file its owner in JSON.
type Store struct {
	folder string
	http   *http.Client
}

// Add downloads the file of an event. It returns when file and owner are on disk. A repeat of an
// event changes nothing.
func (s Store) Add(event Event) error {
	file := event.Data
	if file.DownloadURL == nil {
		return nil // the file is in your own storage
	}
	if !filepath.IsLocal(file.FileName) || filepath.Base(file.FileName) != file.FileName {
		return fmt.Errorf("%w: the file's name is %q", errPoison, file.FileName)
	}
	path := filepath.Join(s.folder, file.RecordingID, file.FileName)
	owner := path + ".json"
	if _, err := os.Stat(owner); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := s.download(*file.DownloadURL, path); err != nil {
		return err
	}
	return replace(owner, func(part io.Writer) error { return json.NewEncoder(part).Encode(file) })
}

func (s Store) download(address, path string) error {
	response, err := s.http.Get(address)
	var failure *url.Error
	if errors.As(err, &failure) {
		return failure.Err // without the URL, which is a secret
	} else if err != nil {
		return err
	}
	defer response.Body.Close()
	if permanent(response.StatusCode) {
		return fmt.Errorf("%w: %s", errPoison, response.Status) // 403: the URL has expired, see README
	}
	if response.StatusCode != http.StatusOK {
		return errors.New(response.Status)
	}
	return replace(path, func(part io.Writer) error {
		// Copy fails if the connection ends before the last byte.
		size, err := io.Copy(part, io.LimitReader(response.Body, maxBytes+1))
		if err == nil && size > maxBytes {
			err = fmt.Errorf("%w: the file is too large", errPoison)
		}
		return err
	})
}

// permanent tells whether the same request would fail again.
func permanent(status int) bool {
	return status >= 400 && status < 500 &&
		status != http.StatusRequestTimeout && status != http.StatusTooManyRequests
}

// replace writes a file in one step: a kill leaves the old one, or none, or the whole new one. Each
// call writes a part of its own, because two handlers may have the same file.
func replace(path string, write func(io.Writer) error) error {
	folder := filepath.Dir(path)
	part, err := os.CreateTemp(folder, ".*.part")
	if err != nil {
		return err
	}
	defer os.Remove(part.Name())
	err = errors.Join(write(part), part.Chmod(0o644), part.Sync(), part.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(part.Name(), path); err != nil {
		return err
	}
	return syncFolder(folder)
}

// syncFolder returns when the names of the folder's files are on disk.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
