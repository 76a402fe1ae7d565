// Command kafka-go has the consumers of many pods, told by HTTP what to do as Consumers.java is.
//
//	kafka-go BROKERS PORT
//
// POST /pod?namespace&name&ip&groups&topics&assignor starts a consumer, which connects from the address.
// DELETE /pod?namespace&name and DELETE /pods?namespace close it, or all of a namespace.
// POST /stuck?namespace&name[&topic&partition] lets the pod read no more of this partition, or of any.
// GET /state?namespace answers a line each: pod, group, topic, partition, messages read.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
)

type place struct {
	topic     string
	partition int
}

type pod struct {
	name, group  string
	brokers      []string
	dialer       *kafka.Dialer
	members      *kafka.ConsumerGroup
	done         chan struct{}
	lock         sync.Mutex
	owned        map[place]int
	stuck        map[place]bool
	sticksToAll  bool
	commitsEvery time.Duration
}

var (
	pods     = map[[2]string]*pod{}
	podsLock sync.Mutex
)

func start(asked url.Values) (*pod, error) {
	address := &net.TCPAddr{IP: net.ParseIP(asked.Get("ip"))}
	p := &pod{
		name: asked.Get("name"), group: asked.Get("groups"), brokers: strings.Split(os.Args[1], ","),
		dialer: &kafka.Dialer{ClientID: "kafka-go", LocalAddr: address, Timeout: 10 * time.Second},
		done:   make(chan struct{}), owned: map[place]int{}, stuck: map[place]bool{}, commitsEvery: time.Second,
	}
	var balancer kafka.GroupBalancer = kafka.RangeGroupBalancer{}
	if asked.Get("assignor") == "roundrobin" {
		balancer = kafka.RoundRobinGroupBalancer{}
	}
	var err error
	p.members, err = kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
		ID: p.group, Brokers: p.brokers, Topics: strings.Split(asked.Get("topics"), ","), Dialer: p.dialer,
		GroupBalancers: []kafka.GroupBalancer{balancer}, StartOffset: kafka.FirstOffset,
	})
	if err == nil {
		go p.run()
	}
	return p, err
}

func (p *pod) run() {
	defer close(p.done)
	for {
		generation, err := p.members.Next(context.Background())
		if errors.Is(err, kafka.ErrGroupClosed) {
			return
		}
		if err != nil {
			continue
		}
		p.lock.Lock()
		p.owned = map[place]int{}
		p.lock.Unlock()
		for topic, assignments := range generation.Assignments {
			for _, assignment := range assignments {
				at, offset := place{topic, assignment.ID}, assignment.Offset
				p.lock.Lock()
				p.owned[at] = 0
				p.lock.Unlock()
				generation.Start(func(ended context.Context) { p.read(ended, generation, at, offset) })
			}
		}
	}
}

// Reads a partition, and commits every second, until the partitions are dealt anew.
func (p *pod) read(ended context.Context, generation *kafka.Generation, at place, offset int64) {
	reader := kafka.NewReader(kafka.ReaderConfig{
		Brokers: p.brokers, Topic: at.topic, Partition: at.partition, Dialer: p.dialer, MaxWait: time.Second,
	})
	defer reader.Close()
	reader.SetOffset(offset)
	next, committed, last := offset, offset, time.Now()
	for ended.Err() == nil {
		if p.sticks(at) {
			time.Sleep(100 * time.Millisecond)
			continue
		}
		waiting, stop := context.WithTimeout(ended, p.commitsEvery)
		message, err := reader.ReadMessage(waiting)
		stop()
		if err == nil {
			next = message.Offset + 1
			p.lock.Lock()
			p.owned[at]++
			p.lock.Unlock()
		}
		if next != committed && (time.Since(last) > p.commitsEvery || ended.Err() != nil) {
			if generation.CommitOffsets(map[string]map[int]int64{at.topic: {at.partition: next}}) == nil {
				committed, last = next, time.Now()
			}
		}
	}
}

func (p *pod) sticks(at place) bool {
	p.lock.Lock()
	defer p.lock.Unlock()
	return p.sticksToAll || p.stuck[at]
}

func (p *pod) stick(asked url.Values) {
	p.lock.Lock()
	defer p.lock.Unlock()
	if topic := asked.Get("topic"); topic != "" {
		var partition int
		fmt.Sscan(asked.Get("partition"), &partition)
		p.stuck[place{topic, partition}] = true
	} else {
		p.sticksToAll = true
	}
}

func (p *pod) tell(to *strings.Builder) {
	p.lock.Lock()
	defer p.lock.Unlock()
	for at, read := range p.owned {
		fmt.Fprintln(to, p.name, p.group, at.topic, at.partition, read)
	}
}

func (p *pod) close() {
	p.members.Close()
	<-p.done
}

func perform(order string, asked url.Values) (string, error) {
	podsLock.Lock()
	defer podsLock.Unlock()
	key := [2]string{asked.Get("namespace"), asked.Get("name")}
	switch order {
	case "POST /pod":
		p, err := start(asked)
		if err != nil {
			return "", err
		}
		pods[key] = p
	case "POST /stuck":
		pods[key].stick(asked)
	case "DELETE /pod", "DELETE /pods":
		for at, p := range pods {
			if at == key || (order == "DELETE /pods" && at[0] == key[0]) {
				p.close()
				delete(pods, at)
			}
		}
	case "GET /state":
		var state strings.Builder
		for at, p := range pods {
			if at[0] == key[0] {
				p.tell(&state)
			}
		}
		return state.String(), nil
	default:
		return "", errors.New(order)
	}
	return "", nil
}

func main() {
	http.HandleFunc("/", func(to http.ResponseWriter, asked *http.Request) {
		answer, err := perform(asked.Method+" "+asked.URL.Path, asked.URL.Query())
		if err != nil {
			http.Error(to, err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Fprint(to, answer)
	})
	panic(http.ListenAndServe("127.0.0.1:"+os.Args[2], nil))
}
