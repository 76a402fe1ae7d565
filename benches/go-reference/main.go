// Command go-reference does the work of a replay as a Go program of the field does it: the official
// Prometheus client, a map of pods, gonum and a sort. It exists to be measured beside pod-rebalancer.
//
//	go-reference start                  prints a line and exits
//	go-reference replay DIR             cpu.json, memory.json, lag.json and rate.json to a decision
//	go-reference decode FILE            an answer to samples
//	go-reference table DIR PODS ROUNDS  CPU nanoseconds a pod of each stage, a line a round, as
//	                                    `stages table` prints them
package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/api"
	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
	"gonum.org/v1/gonum/stat"
)

var (
	metrics = [4]string{"cpu", "memory", "lag", "rate"}
	weights = [4]float64{0.4, 0.1, 0.3, 0.2}
	floors  = [4]float64{0.05, 64 << 20, 1000, 1}
)

type pod struct {
	name  string
	loads [4]float64
	score float64
}

type sample struct {
	pod   string
	value float64
}

// memory answers every request with the same bytes.
type memory struct{ body []byte }

func (m memory) RoundTrip(request *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode:    http.StatusOK,
		Header:        http.Header{"Content-Type": {"application/json"}},
		Body:          io.NopCloser(bytes.NewReader(m.body)),
		ContentLength: int64(len(m.body)),
		Request:       request,
	}, nil
}

func decode(body []byte) []sample {
	client, err := api.NewClient(api.Config{Address: "http://memory", RoundTripper: memory{body}})
	check(err)
	value, _, err := v1.NewAPI(client).Query(context.Background(), "q", time.Time{})
	check(err)
	vector := value.(model.Vector)
	samples := make([]sample, 0, len(vector))
	for _, one := range vector {
		samples = append(samples, sample{string(one.Metric["pod"]), float64(one.Value)})
	}
	return samples
}

func join(answers [4][]sample) []*pod {
	pods := map[string]*pod{}
	for metric, samples := range answers {
		for _, sample := range samples {
			found := pods[sample.pod]
			if found == nil {
				found = &pod{name: sample.pod}
				pods[sample.pod] = found
			}
			found.loads[metric] = sample.value
		}
	}
	list := make([]*pod, 0, len(pods))
	for _, one := range pods {
		list = append(list, one)
	}
	return list
}

// analyze returns mean and standard deviation of the four metrics and of the score, and sorts the
// pods by falling score.
func analyze(pods []*pod) (means, deviations [5]float64) {
	column := make([]float64, len(pods))
	for metric := range metrics {
		for row, one := range pods {
			column[row] = one.loads[metric]
		}
		means[metric], deviations[metric] = popMeanStdDev(column)
	}
	for row, one := range pods {
		one.score = 0
		for metric := range metrics {
			one.score += weights[metric] * one.loads[metric] / max(means[metric], floors[metric])
		}
		column[row] = one.score
	}
	means[4], deviations[4] = popMeanStdDev(column)
	sort.Slice(pods, func(i, j int) bool { return pods[i].score > pods[j].score })
	return means, deviations
}

func popMeanStdDev(column []float64) (mean, deviation float64) {
	mean, deviation = stat.MeanStdDev(column, nil)
	count := float64(len(column))
	return mean, deviation * math.Sqrt((count-1)/count)
}

func read(path string) []byte {
	body, err := os.ReadFile(path)
	check(err)
	return body
}

func decodeAll(folder string) (answers [4][]sample) {
	for metric, name := range metrics {
		answers[metric] = decode(read(filepath.Join(folder, name+".json")))
	}
	return answers
}

func replay(folder string) {
	pods := join(decodeAll(folder))
	means, deviations := analyze(pods)
	if deviations[0]/means[0] > 0.3 || deviations[2]/means[2] > 0.5 {
		fmt.Println(pods[0].name)
		fmt.Println(pods[len(pods)-1].name)
	}
}

// table measures the stages on the answers of both servers below DIR, as far as they are there.
func table(folder string, count, rounds int) {
	line := func(stage, server string, work, reset func()) {
		for _, time := range measure(rounds, work, reset) {
			fmt.Printf("%d\t%s\t%s\tGo reference\t%.3f\n", count, stage, server, time/float64(count))
		}
	}
	nothing := func() {}
	for _, server := range []string{"Prometheus", "VictoriaMetrics"} {
		place := filepath.Join(folder, strings.ToLower(server))
		if server == "Prometheus" {
			cpu := read(filepath.Join(place, "cpu.json"))
			line("decode", server, func() { decode(cpu) }, nothing)
			if raw, err := os.ReadFile(filepath.Join(folder, "raw.json")); err == nil {
				line("decode_raw", server, func() { decode(raw) }, nothing)
			}
		} else if count > 100_000 {
			continue
		}
		answers := decodeAll(place)
		line("join", server, func() { join(answers) }, nothing)
		if server == "Prometheus" {
			pods := join(answers)
			answers = [4][]sample{}
			// In the order of the map, as a run has them.
			unsorted := append([]*pod(nil), pods...)
			line("analyze", server, func() { analyze(pods) }, func() { copy(pods, unsorted) })
		}
	}
}

// measure returns the CPU nanoseconds of each round, garbage collection included. Short work is
// repeated; reset runs before each time and is not counted.
func measure(rounds int, work, reset func()) (times []float64) {
	reset()
	work()
	for range rounds {
		runtime.GC()
		spent, count := int64(0), 0
		for spent < 5_000_000 {
			reset()
			before := cpu()
			work()
			spent += cpu() - before
			count++
		}
		times = append(times, float64(spent)/float64(count))
	}
	return times
}

func cpu() int64 {
	var usage syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return usage.Utime.Nano() + usage.Stime.Nano()
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	arguments := append(os.Args[1:], "", "", "", "")
	switch arguments[0] {
	case "start":
		fmt.Println("go-reference")
	case "replay":
		replay(arguments[1])
	case "decode":
		decode(read(arguments[1]))
	case "table":
		count, err := strconv.Atoi(arguments[2])
		check(err)
		rounds, err := strconv.Atoi(arguments[3])
		check(err)
		table(arguments[1], count, rounds)
	default:
		fmt.Fprintln(os.Stderr, "go-reference: start, replay, decode or table")
		os.Exit(64)
	}
}
