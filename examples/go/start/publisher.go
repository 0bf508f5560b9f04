package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	attemptTime = time.Minute
	succeeded   = "command.succeeded.v1"
)

// errUnroutable means that no worker was ever started on this broker.
var errUnroutable = errors.New("no queue takes commands")

// errIDConflict means that another command had the id before. This one was not executed: give it
// another id.
var errIDConflict = errors.New("the command's id is taken")

// permanent has the AMQP errors that stay, however long one waits.
var permanent = map[int]string{
	amqp.AccessRefused: "ACCESS_REFUSED",
	amqp.NotFound:      "NOT_FOUND",
	amqp.NotAllowed:    "NOT_ALLOWED",
}

// Command starts a track recording; schemas/json has the fields of every command.
type Command struct {
	Type       string    `json:"type"`
	ID         string    `json:"id"`
	MeetingID  string    `json:"meeting_id"`
	MaxSeconds int       `json:"max_seconds,omitempty"`
	Deadline   time.Time `json:"deadline"`
}

// Outcome is the one answer to a command. Data has other fields for each type.
type Outcome struct {
	Type string          `json:"type"`
	Data json.RawMessage `json:"data"`
}

// RecordingIDs are those of a command that succeeded.
func (o Outcome) RecordingIDs() ([]string, error) {
	var data struct {
		IDs []string `json:"recording_ids"`
	}
	err := json.Unmarshal(o.Data, &data)
	return data.IDs, err
}

// Execute publishes a command and returns its outcome. After a lost connection, or a minute without
// an outcome, it publishes the command again. That is safe because the worker executes an id once.
// The command's deadline limits the wait. An id that another command had before, a wrong
// password, a missing exchange and a missing permission are errors at once.
func Execute(ctx context.Context, url string, command Command) (Outcome, error) {
	body, err := json.Marshal(command)
	if err != nil {
		return Outcome{}, err
	}
	for {
		outcome, err := attempt(ctx, url, command, body)
		if err == nil || stays(err) || ctx.Err() != nil {
			return outcome, named(err)
		}
		log.Printf("publishing %s again: %v", command.ID, err)
		time.Sleep(time.Second)
	}
}

func attempt(ctx context.Context, url string, command Command, body []byte) (Outcome, error) {
	var outcome Outcome
	connection, err := amqp.Dial(url)
	if err != nil {
		return outcome, err
	}
	defer connection.Close()
	channel, err := connection.Channel()
	if err != nil {
		return outcome, err
	}
	closed := channel.NotifyClose(make(chan *amqp.Error, 1))
	returned := channel.NotifyReturn(make(chan amqp.Return, 1))
	queue, replies, err := openReplies(channel)
	if err != nil {
		return outcome, err
	}
	message := amqp.Publishing{
		ContentType:   "application/json",
		DeliveryMode:  amqp.Persistent,
		CorrelationId: command.ID,
		ReplyTo:       queue,
		Body:          body,
	}
	err = channel.PublishWithContext(ctx, "recording.commands", command.Type, true, false, message)
	if err != nil {
		return outcome, err
	}
	select {
	case reply, open := <-replies:
		if !open {
			return outcome, lost(<-closed)
		}
		if _, taken := reply.Headers["x-id-conflict"]; taken { // the outcome of the other command
			return outcome, errIDConflict
		}
		return outcome, json.Unmarshal(reply.Body, &outcome)
	case _, open := <-returned: // the library closes it, too, when the connection is lost
		if !open {
			return outcome, lost(<-closed)
		}
		return outcome, errUnroutable
	case <-time.After(attemptTime):
		return outcome, errors.New("no outcome yet")
	case <-ctx.Done():
		return outcome, ctx.Err()
	}
}

// openReplies consumes a queue that ends with the connection.
func openReplies(channel *amqp.Channel) (string, <-chan amqp.Delivery, error) {
	random := make([]byte, 16)
	if _, err := rand.Read(random); err != nil {
		return "", nil, err
	}
	name := "my-service.replies." + hex.EncodeToString(random)
	if _, err := channel.QueueDeclare(name, false, true, true, false, nil); err != nil {
		return "", nil, err
	}
	replies, err := channel.Consume(name, "", true, true, false, false, nil)
	return name, replies, err
}

func lost(reason *amqp.Error) error {
	if reason == nil {
		return errors.New("the connection is lost")
	}
	return reason
}

func stays(err error) bool {
	var reason *amqp.Error
	if errors.As(err, &reason) {
		return permanent[reason.Code] != ""
	}
	return errors.Is(err, errUnroutable) || errors.Is(err, errIDConflict)
}

// named puts AMQP's word before an error: the library gives a wrong password only a number.
func named(err error) error {
	var reason *amqp.Error
	if errors.As(err, &reason) && permanent[reason.Code] != "" {
		return fmt.Errorf("%s: %w", permanent[reason.Code], err)
	}
	return err
}
