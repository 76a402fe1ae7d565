// Command go-reference does the work of a replay as a Go program of the field does it: the official
// Prometheus client, a map of pods, gonum and a sort. It exists to be measured beside pod-rebalancer.
//
//	go-reference start               prints a line and exits
//	go-reference replay DIR          cpu.json, memory.json, lag.json and rate.json to a decision
//	go-reference decode FILE ROUNDS  CPU nanoseconds a series of decoding, a line a round
//	go-reference join DIR ROUNDS     CPU nanoseconds a pod of joining four decoded answers
//	go-reference analyze DIR ROUNDS  CPU nanoseconds a pod of statistics, scores and selection
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

// analyze sorts the pods by falling score and returns the coefficients of variation.
func analyze(pods []*pod) [4]float64 {
	column := make([]float64, len(pods))
	var spreads, means [4]float64
	for metric := range metrics {
		for row, one := range pods {
			column[row] = one.loads[metric]
		}
		mean, variance := stat.PopMeanVariance(column, nil)
		spreads[metric] = math.Sqrt(variance) / mean
		means[metric] = max(mean, floors[metric])
	}
	for _, one := range pods {
		one.score = 0
		for metric := range metrics {
			one.score += weights[metric] * one.loads[metric] / means[metric]
		}
	}
	sort.Slice(pods, func(i, j int) bool { return pods[i].score > pods[j].score })
	return spreads
}

func read(folder string) (bodies [4][]byte) {
	for metric, name := range metrics {
		body, err := os.ReadFile(filepath.Join(folder, name+".json"))
		check(err)
		bodies[metric] = body
	}
	return bodies
}

func decodeAll(folder string) (answers [4][]sample) {
	for metric, body := range read(folder) {
		answers[metric] = decode(body)
	}
	return answers
}

func replay(folder string) {
	var answers [4][]sample
	for metric, name := range metrics {
		body, err := os.ReadFile(filepath.Join(folder, name+".json"))
		check(err)
		answers[metric] = decode(body)
	}
	pods := join(answers)
	spreads := analyze(pods)
	if spreads[0] > 0.3 || spreads[2] > 0.5 {
		fmt.Println(pods[0].name)
		fmt.Println(pods[len(pods)-1].name)
	}
}

// measure prints the CPU nanoseconds of each round, garbage collection included, by count.
func measure(rounds string, count int, work func()) {
	times, err := strconv.Atoi(rounds)
	check(err)
	work()
	for range times {
		runtime.GC()
		before := cpu()
		work()
		fmt.Printf("%.1f\n", float64(cpu()-before)/float64(count))
	}
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
	arguments := append(os.Args[1:], "", "", "")
	switch arguments[0] {
	case "start":
		fmt.Println("go-reference")
	case "replay":
		replay(arguments[1])
	case "decode":
		body, err := os.ReadFile(arguments[1])
		check(err)
		measure(arguments[2], len(decode(body)), func() { decode(body) })
	case "join":
		answers := decodeAll(arguments[1])
		measure(arguments[2], len(answers[0]), func() { join(answers) })
	case "analyze":
		pods := join(decodeAll(arguments[1]))
		shuffled := append([]*pod(nil), pods...)
		measure(arguments[2], len(pods), func() { copy(pods, shuffled); analyze(pods) })
	default:
		fmt.Fprintln(os.Stderr, "go-reference: start, replay, decode, join or analyze")
		os.Exit(64)
	}
}
