// Command start records everybody in a meeting and prints the id of the recording:
//
//	go run ./start MEETING_ID COMMAND_ID
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"strings"
	"time"
)

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: AMQP_URL=… start MEETING_ID COMMAND_ID")
	}
	command := Command{
		Type:       "start_track_recording",
		ID:         os.Args[2],
		MeetingID:  os.Args[1],
		MaxSeconds: 7200,
		Deadline:   time.Now().Add(time.Minute).UTC().Truncate(time.Second),
	}
	outcome, err := Execute(context.Background(), os.Getenv("AMQP_URL"), command)
	if err != nil {
		log.Fatal(err)
	}
	if outcome.Type != succeeded {
		log.Fatalf("not recorded: %s %s", outcome.Type, outcome.Data)
	}
	ids, err := outcome.RecordingIDs()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(strings.Join(ids, " "))
}
