using RbeMl.Models;

namespace RbeMl.Files;

/// <summary>Loads a model from whatever holds one.</summary>
public static class ModelSource
{
    /// <summary>The name that <c>finetune</c> gives the model in its folder.</summary>
    public const string FileName = ModelFolders.CompressedName;

    /// <summary>
    /// Loads a <c>.rbe</c> file, also by the folder that <c>finetune</c> wrote it to as <see cref="FileName"/>, or, with exact dense weights, the folder of a
    /// Hugging Face GPT-2 or BERT, or the ONNX file of a BERT (<see cref="OnnxModelFile"/>).
    /// </summary>
    /// <param name="path">The file or folder.</param>
    /// <exception cref="RbeFileException">Nothing is there, or it is no model this version reads.</exception>
    /// <exception cref="NonFiniteException">A weight is NaN or infinite.</exception>
    public static ModelBundle Load(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        if (InFolder(path) is { } file) return ModelFile.Load(file);
        if (Directory.Exists(path) || OnnxModelFile.IsNamed(path))
        {
            using IModelFolder folder = ModelFolders.Open(path);
            return folder.LoadDense();
        }

        string? parent = Path.GetDirectoryName(Path.GetFullPath(path));
        bool part = File.Exists(path)
            && (path.EndsWith(".safetensors", StringComparison.OrdinalIgnoreCase) || path.EndsWith(".json", StringComparison.OrdinalIgnoreCase));
        if (part) throw new RbeFileException(path, $"is one file of a Hugging Face model. Give its folder, {parent}.");
        return ModelFile.Load(path);
    }

    /// <summary>Loads an encoder: what <see cref="Load"/> loads, where it is one.</summary>
    /// <param name="path">The file or folder.</param>
    /// <param name="threads">Threads of a call; 0 for one a processor.</param>
    /// <exception cref="RbeFileException">Nothing is there, or it is no encoder this version reads, or has no tokenizer; the message says what it
    /// is.</exception>
    /// <exception cref="NonFiniteException">A weight is NaN or infinite.</exception>
    /// <exception cref="InvalidSettingException">The threads are out of range.</exception>
    public static SentenceEncoder LoadEncoder(string path, int threads = 0)
    {
        return EncoderOf(path, Load(path), threads);
    }

    /// <summary>The encoder of what was loaded, which is freed where it is none.</summary>
    internal static SentenceEncoder EncoderOf(string path, ModelBundle bundle, int threads)
    {
        try
        {
            if (bundle.Encoder is null)
            {
                throw new RbeFileException(path,
                    $"is {bundle.Model.Config.Describe()}; an encoder is needed, which makes vectors of texts. "
                        + "Give the folder or .onnx file of a BERT, or a .rbe file of one.");
            }

            if (bundle.Tokenizer is null)
            {
                throw new RbeFileException(path, bundle.TokenizerProblem is { } problem ? $"is an encoder whose tokenizer cannot be read. {problem}"
                    : "is an encoder without a tokenizer. Put its vocab.txt or tokenizer.json beside the weights; of a .rbe file those that it is "
                        + "compressed from.");
            }

            return new SentenceEncoder(bundle, threads);
        }
        catch
        {
            bundle.Dispose();
            throw;
        }
    }

    /// <summary>The compressed model of a folder that <c>finetune</c> wrote: its <see cref="FileName"/>; null for any other folder or a file.</summary>
    /// <param name="path">A folder or file.</param>
    public static string? InFolder(string path) => ModelFolders.CompressedIn(path);

    /// <summary>The <c>.rbe</c> file that a path names: itself, or <see cref="InFolder"/>.</summary>
    /// <param name="path">A file or folder.</param>
    /// <exception cref="RbeFileException">It is a folder of anything else.</exception>
    public static string FileOf(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        if (InFolder(path) is { } file) return file;
        if (!Directory.Exists(path)) return path;
        string what = File.Exists(Path.Combine(path, Gpt2ConfigJson.FileName))
            ? "is the folder of a Hugging Face model, whose weights are dense; a .rbe file is needed. Compress it first."
            : ForeignFolder.Describe(path) ?? $"is a folder without a {FileName}, a .rbe file is needed. Give one, or the folder that finetune wrote.";
        throw new RbeFileException(path, what);
    }
}
