using System.Text.Json.Nodes;
using RbeMl.Files;

namespace RbeMl.Tests.Files;

/// <summary>A made-up BERT in Hugging Face's names, with a vocabulary of a few words; written apart from the product's export.</summary>
internal sealed class BertModel
{
    public const int Positions = 24;

    public static readonly string[] Words =
    [
        "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "sat", "on", "mat", "query", ":",
        "a", "##s", "##ing", "dog", "run", "##n", ".", "$", "\u65e5", "cafe",
    ];

    public BertModel(int width = 8, int hidden = 12, int layers = 2, int heads = 2, int? vocabulary = null)
    {
        int ids = vocabulary ?? Words.Length;
        Random random = new(23);
        Add("embeddings.word_embeddings.weight", ids, width);
        Add("embeddings.position_embeddings.weight", Positions, width);
        Add("embeddings.token_type_embeddings.weight", 2, width);
        Norm("embeddings.LayerNorm");
        for (int l = 0; l < layers; l++)
        {
            string layer = $"encoder.layer.{l}.";
            foreach (string part in (string[])["attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"])
            {
                Linear(layer + part, width, width);
            }

            Linear(layer + "intermediate.dense", hidden, width);
            Linear(layer + "output.dense", width, hidden);
            Norm(layer + "attention.output.LayerNorm");
            Norm(layer + "output.LayerNorm");
        }

        Config = new JsonObject
        {
            ["model_type"] = "bert",
            ["hidden_size"] = width,
            ["intermediate_size"] = hidden,
            ["num_attention_heads"] = heads,
            ["num_hidden_layers"] = layers,
            ["vocab_size"] = ids,
            ["max_position_embeddings"] = Positions,
            ["type_vocab_size"] = 2,
            ["hidden_act"] = "gelu",
            ["layer_norm_eps"] = 1e-12,
        };

        void Linear(string name, int outputs, int inputs)
        {
            Add(name + ".weight", outputs, inputs);
            Add(name + ".bias", outputs);
        }

        void Norm(string name)
        {
            Add(name + ".weight", width);
            Add(name + ".bias", width);
            float[] gamma = Tensors[name + ".weight"].Values;
            for (int i = 0; i < gamma.Length; i++) gamma[i] += 1;
        }

        void Add(string name, params long[] shape)
        {
            float[] values = new float[shape.Aggregate(1L, (a, b) => a * b)];
            for (int i = 0; i < values.Length; i++) values[i] = (float)(random.NextDouble() - 0.5);
            Tensors.Add(name, (shape, values));
        }
    }

    public JsonObject Config { get; }

    public Dictionary<string, (long[] Shape, float[] Values)> Tensors { get; private set; } = [];

    /// <summary>Texts of other files by their names, such as <c>1_Pooling/config.json</c>.</summary>
    public Dictionary<string, string> Others { get; } = new() { ["vocab.txt"] = string.Concat(Words.Select(word => word + "\n")) };

    public BertModel Renamed(Func<string, string> name)
    {
        Tensors = Tensors.ToDictionary(t => name(t.Key), t => t.Value);
        return this;
    }

    public string Write(string folder, SafetensorsElement element = SafetensorsElement.F32)
    {
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, "config.json"), Config.ToJsonString());
        SafetensorsWriter.Write(Path.Combine(folder, "model.safetensors"),
            Tensors.Select(t => SafetensorsSource.From(t.Key, t.Value.Values, t.Value.Shape, element)), null);
        foreach ((string name, string text) in Others)
        {
            Directory.CreateDirectory(Path.GetDirectoryName(Path.Combine(folder, name))!);
            File.WriteAllText(Path.Combine(folder, name), text);
        }

        return folder;
    }
}
