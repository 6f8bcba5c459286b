package pyjson

import (
	"encoding/json"
	"math"
	"testing"
)

func TestQuote(t *testing.T) {
	var v struct {
		A, B, C, D Float
		S          string
	}
	if err := json.Unmarshal(Quote([]byte(`{"a": -Infinity, "b": Infinity, "c": NaN, "d": -1.5e3, "s": "a \"NaN\" \\"}`)), &v); err != nil {
		t.Fatal(err)
	}
	if !math.IsInf(float64(v.A), -1) || !math.IsInf(float64(v.B), 1) || !math.IsNaN(float64(v.C)) || v.D != -1500 || v.S != `a "NaN" \` {
		t.Errorf("%+v", v)
	}
	for _, plain := range []string{`{"x": [1, "Infinity", "\"NaN"]}`, ``, `"`, `\`} {
		if got := string(Quote([]byte(plain))); got != plain {
			t.Errorf("%s became %s", plain, got)
		}
	}
	if err := json.Unmarshal([]byte(`{"a": "many"}`), &v); err == nil {
		t.Error("a word passed for a number")
	}
}
