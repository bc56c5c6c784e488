using System.Text.Json;
using System.Text.Unicode;
using Microsoft.Win32.SafeHandles;
using RbeMl.Text;

namespace RbeMl.Models.Files;

/// <summary>Opens files and reads small ones, with errors of this library.</summary>
internal static class FileReading
{
    private static readonly JsonDocumentOptions Strict = new() { AllowDuplicateProperties = false };

    /// <summary>Opens a file for reading.</summary>
    /// <param name="path">The file.</param>
    /// <param name="wanted">What it should be, e.g. <c>"a safetensors file"</c>.</param>
    public static SafeFileHandle Open(string path, string wanted)
    {
        try
        {
            return File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.Read);
        }
        catch (FileNotFoundException error)
        {
            throw new RbeFileException(path, "no such file. Check the name.", error);
        }
        catch (DirectoryNotFoundException error)
        {
            throw new RbeFileException(path, "no such folder. Check the name.", error);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or NotSupportedException)
        {
            throw Directory.Exists(path) ? new RbeFileException(path, $"is a folder, {wanted} is needed.", error) : Unreadable(path, error);
        }
    }

    /// <summary>The error for a file that the system does not let us read.</summary>
    public static RbeFileException Unreadable(string path, Exception error) => new(path, $"cannot be read ({error.Message.TrimEnd('.')}). Check that it is a plain file you may read.", error);

    /// <summary>All bytes of a file of at most <paramref name="limit"/> bytes.</summary>
    public static byte[] Bytes(string path, string wanted, int limit)
    {
        using SafeFileHandle handle = Open(path, wanted);
        try
        {
            long length = RandomAccess.GetLength(handle);
            if (length > limit) throw new RbeFileException(path, $"has {length} bytes; {wanted} has at most {limit}. Check that it is the right file.");
            byte[] bytes = new byte[(int)length];
            int read = 0;
            while (read < bytes.Length && RandomAccess.Read(handle, bytes.AsSpan(read), read) is > 0 and int more) read += more;
            ForeignFile.RequireNoPointer(path, bytes.AsSpan(0, read));
            return read == bytes.Length ? bytes : bytes[..read];
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or NotSupportedException)
        {
            throw Unreadable(path, error);
        }
    }

    /// <summary>The object of a JSON file; names occur once and, like all texts, are Unicode.</summary>
    public static JsonElement JsonObject(string path, string wanted, int limit)
    {
        byte[] bytes = Bytes(path, wanted, limit);
        if (!Utf8.IsValid(bytes)) _ = TextFile.Decode(bytes, path); // says where and why
        ReadOnlyMemory<byte> json = bytes.AsSpan().StartsWith("\uFEFF"u8) ? bytes.AsMemory(3) : bytes;
        try
        {
            JsonElement root = JsonDocument.Parse(json, Strict).RootElement; // on the file's own bytes, without a copy
            if (root.ValueKind != JsonValueKind.Object) throw new RbeFileException(path, $"holds no JSON object; {wanted} is needed. Write it again.");
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
