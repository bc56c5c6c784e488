using System.Text.Json.Nodes;
using RbeMl.Files;

namespace RbeMl.Tests.Files;

/// <summary>
/// A made-up GPT-2 of two layers with 30 tokens and 9 positions, in Hugging Face's names and [in, out] maps; written apart from the
/// product's export.
/// </summary>
internal sealed class HuggingFaceModel
{
    public HuggingFaceModel(int Width, int Hidden, bool tied = true)
    {
        Random random = new(17);
        Add("transformer.wte.weight", 30, Width);
        Add("transformer.wpe.weight", 9, Width);
        for (int l = 0; l < 2; l++)
        {
            foreach ((string part, int inputs, int outputs) in ((string, int, int)[])[("attn.c_attn", Width, 3 * Width),
                ("attn.c_proj", Width, Width), ("mlp.c_fc", Width, Hidden), ("mlp.c_proj", Hidden, Width)])
            {
                Add($"transformer.h.{l}.{part}.weight", inputs, outputs);
                Add($"transformer.h.{l}.{part}.bias", outputs);
            }

            foreach (string norm in (string[])["ln_1", "ln_2"])
            {
                Add($"transformer.h.{l}.{norm}.weight", Width);
                Add($"transformer.h.{l}.{norm}.bias", Width);
            }
        }

        Add("transformer.ln_f.weight", Width);
        Add("transformer.ln_f.bias", Width);
        if (!tied) Add("lm_head.weight", 30, Width);
        Config = new JsonObject
        {
            ["model_type"] = "gpt2",
            ["n_embd"] = Width,
            ["n_inner"] = Hidden,
            ["n_head"] = 2,
            ["n_layer"] = 2,
            ["vocab_size"] = 30,
            ["n_positions"] = 9,
            ["tie_word_embeddings"] = tied,
        };

        void Add(string name, params long[] shape)
        {
            float[] values = new float[shape.Aggregate(1L, (a, b) => a * b)];
            for (int i = 0; i < values.Length; i++) values[i] = (float)(random.NextDouble() - 0.5);
            Tensors.Add(name, (shape, values));
        }
    }

    private HuggingFaceModel(JsonObject config, Dictionary<string, (long[] Shape, float[] Values)> tensors) => (Config, Tensors) = (config, tensors);

    public JsonObject Config { get; }

    public Dictionary<string, (long[] Shape, float[] Values)> Tensors { get; } = [];

    /// <summary>The texts of <c>__metadata__</c>; null for none.</summary>
    public Dictionary<string, string>? Metadata { get; set; }

    public HuggingFaceModel Renamed(Func<string, string> name) => new(Config.DeepClone().AsObject(), Tensors.ToDictionary(t => name(t.Key), t => t.Value));

    public HuggingFaceModel Linear() =>
        new(Config, Tensors.ToDictionary(t => t.Key, t => t.Key.Contains(".c_", StringComparison.Ordinal) && t.Value.Shape.Length == 2
            ? Transpose(t.Value) : t.Value));

    public HuggingFaceModel WithoutPrefix() =>
        new(Config, Tensors.ToDictionary(t => t.Key.Replace("transformer.", "", StringComparison.Ordinal), t => t.Value));

    public HuggingFaceModel With(string name, long[] shape) =>
        new(Config.DeepClone().AsObject(),
            new Dictionary<string, (long[], float[])>(Tensors) { [name] = (shape, new float[shape.Aggregate(1L, (a, b) => a * b)]) });

    public HuggingFaceModel Without(string name) => new(Config.DeepClone().AsObject(), Tensors.Where(t => t.Key != name).ToDictionary());

    public string Write(string folder, SafetensorsElement element = SafetensorsElement.F32)
    {
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, "config.json"), Config.ToJsonString());
        SafetensorsWriter.Write(Path.Combine(folder, "model.safetensors"),
            Tensors.Select(t => SafetensorsSource.From(t.Key, t.Value.Values, t.Value.Shape, element)), Metadata);
        return folder;
    }

    /// <summary>Splits a folder's model.safetensors in three.</summary>
    public static void Shard(string folder)
    {
        string single = Path.Combine(folder, "model.safetensors");
        JsonObject map = [];
        using (SafetensorsFile file = SafetensorsFile.Open(single))
        {
            foreach (var shard in file.Tensors.Select((t, i) => (t.Name, Shard: $"model-{(i % 3) + 1}-of-3.safetensors")).GroupBy(t => t.Shard))
            {
                SafetensorsWriter.Write(Path.Combine(folder, shard.Key), shard.Select(t => SafetensorsSource.From(file, t.Name)));
                foreach ((string name, _) in shard) map[name] = shard.Key;
            }
        }

        File.WriteAllText(Path.Combine(folder, "model.safetensors.index.json"), new JsonObject { ["weight_map"] = map }.ToJsonString());
        File.Delete(single);
    }

    private static (long[] Shape, float[] Values) Transpose((long[] Shape, float[] Values) matrix)
    {
        (long rows, long columns) = (matrix.Shape[0], matrix.Shape[1]);
        float[] values = new float[matrix.Values.Length];
        for (long i = 0; i < values.Length; i++) values[(i % columns * rows) + (i / columns)] = matrix.Values[i];
        return ([columns, rows], values);
    }
}
