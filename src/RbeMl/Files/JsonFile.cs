using System.Text.Json;
using System.Text.Unicode;
using RbeMl.Storage;
using RbeMl.Text;

namespace RbeMl.Files;

/// <summary>JSON of small files: read with errors of this library, and written over many lines.</summary>
internal static class JsonFile
{
    private static readonly JsonDocumentOptions Strict = new() { AllowDuplicateProperties = false };

    /// <summary>How files for other tools are written.</summary>
    public static JsonSerializerOptions Indented { get; } = new() { WriteIndented = true };

    /// <summary>The object of a JSON file; names occur once and, like all texts, are Unicode.</summary>
    public static JsonElement Object(string path, string wanted, int limit)
    {
        JsonElement root = Root(path, wanted, limit);
        return root.ValueKind == JsonValueKind.Object ? root : throw new RbeFileException(path, $"holds no JSON object; {wanted} is needed. Write it again.");
    }

    /// <summary>The objects of a JSON file that is a list of them; names occur once and, like all texts, are Unicode.</summary>
    public static IReadOnlyList<JsonElement> Array(string path, string wanted, int limit)
    {
        JsonElement root = Root(path, wanted, limit);
        return root.ValueKind == JsonValueKind.Array && root.EnumerateArray().All(item => item.ValueKind == JsonValueKind.Object)
            ? [.. root.EnumerateArray()] : throw new RbeFileException(path, $"holds no list of JSON objects; {wanted} is needed. Write it again.");
    }

    private static JsonElement Root(string path, string wanted, int limit)
    {
        byte[] bytes = FileReading.Bytes(path, wanted, limit);
        if (!Utf8.IsValid(bytes)) _ = TextFile.Decode(bytes, path); // says where and why
        ReadOnlyMemory<byte> json = bytes.AsSpan().StartsWith("\uFEFF"u8) ? bytes.AsMemory(3) : bytes;
        try
        {
            JsonElement root = JsonDocument.Parse(json, Strict).RootElement; // on the file's own bytes, without a copy
            CheckTexts(root);
            return root;
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException)
        {
            throw new RbeFileException(path, $"is no JSON ({error.Message.TrimEnd('.')}); {wanted} is needed. Write it again.", error);
        }
    }

    // Names and texts with escapes of unpaired surrogates are valid JSON, but reading them throws.
    private static void CheckTexts(JsonElement value)
    {
        switch (value.ValueKind)
        {
            case JsonValueKind.String:
                _ = value.GetString();
                break;
            case JsonValueKind.Array:
                foreach (JsonElement item in value.EnumerateArray()) CheckTexts(item);
                break;
            case JsonValueKind.Object:
                foreach (JsonProperty property in value.EnumerateObject())
                {
                    _ = property.Name;
                    CheckTexts(property.Value);
                }

                break;
        }
    }
}
