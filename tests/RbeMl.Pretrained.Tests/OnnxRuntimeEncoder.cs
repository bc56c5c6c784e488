using Microsoft.ML.OnnxRuntime;

namespace RbeMl.Pretrained.Tests;

/// <summary>
/// A model computed by ONNX Runtime, the oracle: hidden states of the last layer, pooled and normalised by their definition.
/// </summary>
internal sealed class OnnxRuntimeEncoder : IDisposable
{
    private static readonly string[] Inputs = ["input_ids", "attention_mask", "token_type_ids"], Outputs = ["last_hidden_state"];
    private readonly InferenceSession _session;
    private readonly bool _first;

    public OnnxRuntimeEncoder(string path, bool first)
    {
        using SessionOptions options = new() { IntraOpNumThreads = Environment.ProcessorCount };
        _session = new InferenceSession(path, options);
        _first = first;
    }

    /// <summary>The vectors of sequences of ids; one length goes through the model together, without padding.</summary>
    public float[][] Embed(IReadOnlyList<int[]> sequences)
    {
        float[][] vectors = new float[sequences.Count][];
        foreach (IGrouping<int, int> group in Enumerable.Range(0, sequences.Count).GroupBy(i => sequences[i].Length))
        {
            foreach (int[] rows in group.Chunk(32)) Embed([.. rows.Select(i => sequences[i])], rows, vectors);
        }

        return vectors;
    }

    public void Dispose() => _session.Dispose();

    private void Embed(int[][] sequences, int[] rows, float[][] vectors)
    {
        int batch = sequences.Length, length = sequences[0].Length;
        long[] shape = [batch, length];
        using OrtValue ids = OrtValue.CreateTensorValueFromMemory([.. sequences.SelectMany(s => s).Select(id => (long)id)], shape);
        using OrtValue mask = OrtValue.CreateTensorValueFromMemory(Enumerable.Repeat(1L, batch * length).ToArray(), shape);
        using OrtValue types = OrtValue.CreateTensorValueFromMemory(new long[batch * length], shape);
        using RunOptions options = new();
        using IDisposableReadOnlyCollection<OrtValue> outputs = _session.Run(options, Inputs, [ids, mask, types], Outputs);
        ReadOnlySpan<float> hidden = outputs[0].GetTensorDataAsSpan<float>();
        int width = hidden.Length / (batch * length);
        for (int b = 0; b < batch; b++)
        {
            double[] sum = new double[width];
            for (int t = 0; t < (_first ? 1 : length); t++)
            {
                for (int f = 0; f < width; f++) sum[f] += hidden[(((b * length) + t) * width) + f];
            }

            double norm = Math.Sqrt(sum.Sum(value => value * value));
            vectors[rows[b]] = [.. sum.Select(value => (float)(value / norm))];
        }
    }
}
