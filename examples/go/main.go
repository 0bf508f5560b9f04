// Command recording-subscriber downloads every file of every recording. It acknowledges an event
// when the file is on disk.
package main

import (
	"cmp"
	"context"
	"errors"
	"log"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	queue       = "my-service.files"
	deadLetters = "my-service.files.dead"
	concurrency = 10
	retryDelay  = 10 * time.Second
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	store := Store{cmp.Or(os.Getenv("RECORDINGS_FOLDER"), "recordings"), &http.Client{Timeout: time.Hour}}
	for ctx.Err() == nil {
		if err := consume(ctx, os.Getenv("AMQP_URL"), store); err != nil {
			log.Printf("connecting again: %v", err)
			wait(ctx, time.Second)
		}
	}
}

// consume handles events until ctx ends or the connection is lost.
func consume(ctx context.Context, url string, store Store) error {
	connection, err := amqp.Dial(url)
	if err != nil {
		return err
	}
	defer connection.Close()
	channel, err := connection.Channel()
	if err != nil {
		return err
	}
	if err := declare(channel); err != nil {
		return err
	}
	deliveries, err := channel.Consume(queue, queue, false, false, false, false, nil)
	if err != nil {
		return err
	}
	log.Print("waiting for files")
	return handleAll(ctx, channel, deliveries, store)
}

// declare creates the queue of this service: durable, replicated, with dead letters of its own. The
// exchange recording.files must exist. The worker creates it, or `recording-worker topology declare`.
func declare(channel *amqp.Channel) error {
	quorum := amqp.Table{"x-queue-type": "quorum"}
	arguments := amqp.Table{
		"x-queue-type":           "quorum",
		"x-delivery-limit":       20,
		"x-dead-letter-exchange": deadLetters,
		"x-dead-letter-strategy": "at-least-once",
		"x-overflow":             "reject-publish", // at-least-once requires it
	}
	if err := channel.ExchangeDeclare(deadLetters, "fanout", true, false, false, false, nil); err != nil {
		return err
	}
	if _, err := channel.QueueDeclare(deadLetters, true, false, false, false, quorum); err != nil {
		return err
	}
	if err := channel.QueueBind(deadLetters, "", deadLetters, false, nil); err != nil {
		return err
	}
	if _, err := channel.QueueDeclare(queue, true, false, false, false, arguments); err != nil {
		return err
	}
	for _, binding := range []string{"*.*.ready", "*.*.url_renewed"} {
		if err := channel.QueueBind(queue, binding, "recording.files", false, nil); err != nil {
			return err
		}
	}
	return channel.Qos(concurrency, 0, false)
}

// handleAll returns nil when ctx has ended and the downloads that had begun are finished.
func handleAll(
	ctx context.Context, channel *amqp.Channel, deliveries <-chan amqp.Delivery, store Store,
) error {
	var handlers sync.WaitGroup
	defer handlers.Wait()
	for {
		select {
		case <-ctx.Done():
			return channel.Cancel(queue, false)
		case delivery, open := <-deliveries:
			if !open {
				return errors.New("the connection is lost")
			}
			handlers.Add(1)
			go func() {
				defer handlers.Done()
				handle(ctx, delivery, store)
			}()
		}
	}
}

// handle acknowledges the event, dead-letters it, or gives it back to the queue. If the connection
// is lost, RabbitMQ delivers the event again.
func handle(ctx context.Context, delivery amqp.Delivery, store Store) {
	event, err := decodeEvent(delivery.Body)
	if err == nil {
		err = store.Add(event)
	}
	switch {
	case err == nil:
		err = delivery.Ack(false)
	case errors.Is(err, errNotAnEvent), errors.Is(err, errPoison):
		log.Printf("event %s is dead-lettered: %v", delivery.MessageId, err)
		err = delivery.Reject(false)
	default:
		log.Printf("event %s goes back to the queue: %v", delivery.MessageId, err)
		wait(ctx, retryDelay)
		err = delivery.Nack(false, true)
	}
	if err != nil {
		log.Printf("event %s is not settled: %v", delivery.MessageId, err)
	}
}

func wait(ctx context.Context, delay time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(delay):
	}
}
