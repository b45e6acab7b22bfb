package shipper

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"go.uber.org/zap"
)

// ECSVariable is the environment variable that holds the address of the task's metadata. ECS sets
// it in every container.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-metadata-endpoint-v4.html
const ECSVariable = "ECS_CONTAINER_METADATA_URI_V4"

// ecsBytes bounds an answer. The answer for a task with ten containers has 20 KB.
const ecsBytes = 1 << 20

// AskECS starts to read the task's metadata at uri, the value of [ECSVariable], for the open
// records: cluster, taskArn, family, revision, container, launchType, image and imageDigest, if
// known. The returned function waits for the metadata, until one second after the call of AskECS.
// It is nil if uri is "".
func AskECS(uri string, log *zap.Logger) func() map[string]string {
	return usualPatience.askECS(uri, log)
}

func (p patience) askECS(uri string, log *zap.Logger) func() map[string]string {
	if uri == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), p.ecs)
	answers := make(chan map[string]string, 1)
	go func() {
		defer cancel()
		found, err := ecsMetadata(ctx, strings.TrimRight(uri, "/"))
		if err != nil {
			log.Warn(fmt.Sprintf("%s: %v; open records lack some details of the task", ECSVariable, err), zap.String("variable", ECSVariable), zap.String("uri", uri))
		}
		answers <- found
	}()
	return sync.OnceValue(func() map[string]string { return <-answers })
}

func ecsMetadata(ctx context.Context, uri string) (map[string]string, error) {
	// Do not use the environment's proxy, because the address is the host's own.
	transport := &http.Transport{DisableKeepAlives: true}
	client := &http.Client{Transport: transport}
	var task struct{ Cluster, TaskARN, Family, Revision, LaunchType string }
	var container struct{ Name, Image, ImageID string }
	var taskErr, containerErr error
	var both sync.WaitGroup
	both.Go(func() { taskErr = getJSON(ctx, client, uri+"/task", &task) })
	both.Go(func() { containerErr = getJSON(ctx, client, uri, &container) })
	both.Wait()

	found := map[string]string{}
	for name, value := range map[string]string{
		"cluster": task.Cluster, "taskArn": task.TaskARN, "family": task.Family, "revision": task.Revision,
		"launchType": task.LaunchType, "container": container.Name,
		"image": container.Image, "imageDigest": container.ImageID,
	} {
		if value != "" {
			found[name] = value
		}
	}
	if taskErr != nil {
		return found, taskErr
	}
	return found, containerErr
}

func getJSON(ctx context.Context, client *http.Client, url string, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	answer, err := client.Do(request)
	if err != nil {
		return err // names the address
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, ecsBytes))
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", url, err)
	case answer.StatusCode != http.StatusOK:
		return fmt.Errorf("%s answered %s", url, answer.Status)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("%s: %w", url, err)
	}
	return nil
}
