package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
)

const maxBytes = 5 << 30

// errPoison marks events that can never be handled. A person has to look at them.
var errPoison = errors.New("cannot be handled")

// Store keeps files in a folder, and beside each file its owner in JSON.
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

func (s Store) download(url, path string) error {
	response, err := s.http.Get(url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode >= 400 && response.StatusCode < 500 {
		return fmt.Errorf("%w: %s", errPoison, response.Status) // 403: the URL has expired, see README
	}
	if response.StatusCode != http.StatusOK {
		return errors.New(response.Status)
	}
	return replace(path, func(part io.Writer) error {
		size, err := io.Copy(part, io.LimitReader(response.Body, maxBytes+1))
		if err == nil && size > maxBytes {
			err = fmt.Errorf("%w: the file is too large", errPoison)
		}
		return err
	})
}

// replace writes a file in one step: a kill leaves the old one, or none, or the whole new one.
func replace(path string, write func(io.Writer) error) error {
	part, err := os.Create(path + ".part")
	if err != nil {
		return err
	}
	defer os.Remove(part.Name())
	err = errors.Join(write(part), part.Sync(), part.Close())
	if err != nil {
		return err
	}
	return os.Rename(part.Name(), path)
}
