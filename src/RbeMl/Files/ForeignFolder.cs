using System.Text.Json;

namespace RbeMl.Files;

/// <summary>Says what a folder that is no model of dense weights holds.</summary>
internal static class ForeignFolder
{
    private const string AdapterName = "adapter_config.json";
    private const int Limit = 1 << 24;

    private static readonly (string Pattern, string Kind)[] Weights =
    [
        ("pytorch_model*.bin*", "pickled"), ("consolidated*.pth", "pickled"), ("*.ckpt", "pickled"), ("*.pth", "pickled"), ("*.pt", "pickled"),
        ("*.gguf", "a GGUF model"), ("*.onnx", "an ONNX model"), ("tf_model*.h5", "TensorFlow weights"), ("model.ckpt*", "TensorFlow weights"),
            ("flax_model*.msgpack", "Flax weights"),
    ];

    /// <summary>What it holds and what to do, after the folder's name or "it"; null when its files do not tell.</summary>
    public static string? Describe(string folder)
    {
        string adapter = Path.Combine(folder, AdapterName);
        if (File.Exists(adapter))
        {
            return $"holds an adapter{Of(adapter)} ({AdapterName}), which changes a model and is none. Merge it into that model and give the merged folder.";
        }

        foreach ((string pattern, string kind) in Weights)
        {
            string? name = Directory.EnumerateFiles(folder, pattern).Select(file => Path.GetFileName(file)!).Order(StringComparer.Ordinal).FirstOrDefault();
            if (name is null) continue;
            if (pattern == "*.onnx") return $"holds {kind}. Give the file itself, {name}.";
            return kind == "pickled"
                ? $"holds pickled weights, which can run code and are not read. Convert its {name} to safetensors."
                : $"holds {kind} ({name}), which is not read here. Give the weights as safetensors.";
        }

        return null;
    }

    /// <summary>What the folder of a model holds.</summary>
    public const string Needed = "a local folder with config.json, model.safetensors and, for texts, tokenizer.json, vocab.txt, or vocab.json and merges.txt";

    /// <summary>What to do where there is no file of that name: one without an ending is likely meant as a model's name.</summary>
    public static string MissingMend(string path) => Path.HasExtension(path) ? "Check the name." : $"Nothing is downloaded: give {Needed}, or a file.";

    private static string Of(string path)
    {
        try
        {
            return JsonFile.Object(path, "an adapter", Limit).TryGetProperty("base_model_name_or_path", out JsonElement name)
                && name.ValueKind == JsonValueKind.String ? $" for {name.GetString()}" : "";
        }
        catch (RbeFileException)
        {
            return "";
        }
    }
}
