using RbeMl.Models.Files.HuggingFace;

namespace RbeMl.Models.Files;

/// <summary>Loads a model from whatever holds one.</summary>
public static class ModelSource
{
    /// <summary>Loads a <c>.rbe</c> file, or the folder of a Hugging Face GPT-2 with exact dense weights.</summary>
    /// <param name="path">The file or folder.</param>
    /// <exception cref="RbeFileException">Nothing is there, or it is no model this version reads.</exception>
    /// <exception cref="NonFiniteException">A weight is NaN or infinite.</exception>
    public static Gpt2Bundle Load(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        if (Directory.Exists(path))
        {
            using Gpt2Directory directory = Gpt2Directory.Open(path);
            return directory.LoadDense();
        }

        string? folder = Path.GetDirectoryName(Path.GetFullPath(path));
        bool part = File.Exists(path) && (path.EndsWith(".safetensors", StringComparison.OrdinalIgnoreCase) || path.EndsWith(".json", StringComparison.OrdinalIgnoreCase));
        if (part) throw new RbeFileException(path, $"is one file of a Hugging Face model. Give its folder, {folder}.");
        return Gpt2File.Load(path);
    }
}
