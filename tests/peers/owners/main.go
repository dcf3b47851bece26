// Reads objects, a JSON list, and says which of them their operators would not take: as the Go types of KubeRay and of the
// Prometheus operator have no such field, or as KubeRay's controller refuses them.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	ray "github.com/ray-project/kuberay/ray-operator/apis/ray/v1"
	"github.com/ray-project/kuberay/ray-operator/controllers/ray/utils"
	"sigs.k8s.io/yaml"
)

type refusal struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
	Why  string `json:"why"`
}

func check(kind string, object []byte) error {
	switch kind {
	case "RayService":
		var found ray.RayService
		if err := yaml.UnmarshalStrict(object, &found); err != nil {
			return err
		}
		return errors.Join(
			utils.ValidateRayServiceMetadata(found.ObjectMeta),
			utils.ValidateRayServiceSpec(&found),
			utils.ValidateRayClusterSpec(&found.Spec.RayClusterSpec, found.Annotations),
		)
	case "PodMonitor":
		return yaml.UnmarshalStrict(object, &monitoring.PodMonitor{})
	case "PrometheusRule":
		return yaml.UnmarshalStrict(object, &monitoring.PrometheusRule{})
	}
	return fmt.Errorf("no operator of %s is known here", kind)
}

func main() {
	var objects []json.RawMessage
	if err := json.NewDecoder(os.Stdin).Decode(&objects); err != nil {
		panic(err)
	}
	refused := []refusal{}
	for _, object := range objects {
		var about struct {
			Kind     string
			Metadata struct{ Name string }
		}
		if err := json.Unmarshal(object, &about); err != nil {
			panic(err)
		}
		if err := check(about.Kind, object); err != nil {
			refused = append(refused, refusal{about.Kind, about.Metadata.Name, err.Error()})
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(refused); err != nil {
		panic(err)
	}
}
