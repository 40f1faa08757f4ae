// Whether each partition of a history was an append-only log, as far as the clients could tell, by porcupine.
// It reads files of a history, or standard input, and prints a verdict a line and partition.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"time"
)

type verdict struct {
	Partition string `json:"partition"`
	// ok, illegal, or unknown if time ran out.
	Verdict    string `json:"verdict"`
	Operations int    `json:"operations"`
	Slices     int    `json:"slices"`
	// Of what is illegal: the offsets of the slice, and an operation for which there is no place.
	Offsets   *[2]int64 `json:"offsets,omitempty"`
	NoPlaceOf string    `json:"noPlaceOf,omitempty"`
}

func main() {
	timeout := flag.Duration("timeout", 10*time.Second, "for each partition")
	sliceOffsets := flag.Int64("slice", 1000, "how many offsets are checked at once")
	fresh := flag.Bool("fresh", false, "whether everybody who asks for the end of a partition must be told the newest one")
	flag.Parse()
	history, err := readHistory(flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	output := json.NewEncoder(os.Stdout)
	for _, partition := range history.partitions() {
		if err := output.Encode(judge(partition, *sliceOffsets, *fresh, time.Now().Add(*timeout))); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

// A log on some of its offsets is a log too: what is wrong with the part is wrong with the whole. The search takes longer than in
// proportion to what it searches, and so goes by slices.
func judge(p *partition, sliceOffsets int64, fresh bool, deadline time.Time) verdict {
	result := verdict{Partition: p.name, Verdict: "ok"}
	for from := p.start; from < p.end() || result.Slices == 0; from += sliceOffsets {
		s := sliceOf(p, from, from+sliceOffsets, fresh)
		result.Slices++
		result.Operations += len(s.operations)
		remaining := time.Until(deadline)
		outcome, noPlaceOf := "unknown", ""
		// A timeout of nothing would be none.
		if remaining > 0 {
			outcome, noPlaceOf = s.check(remaining)
		}
		if outcome == "illegal" {
			result.Verdict = outcome
			result.Offsets = &[2]int64{from, from + sliceOffsets}
			result.NoPlaceOf = noPlaceOf
			return result
		}
		if outcome == "unknown" {
			result.Verdict = outcome
		}
	}
	return result
}
