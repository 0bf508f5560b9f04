package main

import (
	"encoding/json"
	"errors"
	"time"
)

// The types of the events that bring a file.
const (
	fileReady      = "recording.file_ready.v1"
	fileURLRenewed = "recording.file_url_renewed.v1"
)

var errNotAnEvent = errors.New("not an event of a type that this program knows")

// Event is a CloudEvent 1.0 with the fields that this program needs; schemas/json has all of them.
// The same fact always has the same ID.
type Event struct {
	ID   string `json:"id"`
	Type string `json:"type"`
	Data File   `json:"data"`
}

// File is a finished file of a recording. A value that is not certain is nil.
type File struct {
	RecordingID         string     `json:"recording_id"`
	FileName            string     `json:"file_name"`
	UserID              *string    `json:"user_id"`
	CustomParticipantID *string    `json:"custom_participant_id"`
	DownloadURL         *string    `json:"download_url"`
	DownloadURLExpiry   *time.Time `json:"download_url_expiry"`
}

func decodeEvent(body []byte) (Event, error) {
	var event Event
	if err := json.Unmarshal(body, &event); err != nil {
		return event, errors.Join(errNotAnEvent, err)
	}
	if event.Type != fileReady && event.Type != fileURLRenewed {
		return event, errNotAnEvent
	}
	return event, nil
}
