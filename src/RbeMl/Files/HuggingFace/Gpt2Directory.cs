using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Text;

namespace RbeMl.Files;

/// <summary>
/// A GPT-2 in Hugging Face's layout: <c>config.json</c>, <c>model.safetensors</c> or several files with an index, and, if it has one, a tokenizer
/// (see <see cref="Gpt2TokenizerFiles.LoadFolder"/>). Opening checks every tensor's name, type and shape against the configuration; data
/// are read when asked for, a part at a time, so that reading needs little more memory than what it returns. Linear maps come out [out,
/// in], the fused c_attn as query, key and value. A single directory stores its maps all [in, out] (GPT-2's Conv1D) or all [out, in]:
/// c_attn, never square, tells which.
/// </summary>
public sealed partial class Gpt2Directory : IModelFolder
{
    private readonly SafetensorsSet _tensors;
    private readonly Gpt2TensorNames _names;
    private readonly IReadOnlyList<int>? _ends;

    private Gpt2Directory(string path, SafetensorsSet tensors, Gpt2TensorNames names, IReadOnlyList<int>? ends)
    {
        _ends = ends;
        Path = path;
        try
        {
            Tokenizer = Gpt2TokenizerFiles.LoadFolder(path);
        }
        catch (RbeFileException error)
        {
            TokenizerProblem = error.Message;
        }

        _tensors = tensors;
        _names = names;
    }

    /// <summary>The folder.</summary>
    public string Path { get; }

    /// <inheritdoc/>
    public string ModelType => Gpt2ConfigJson.ModelType;

    /// <summary>Shapes and constants.</summary>
    public TransformerConfig Config => _names.Config;

    /// <inheritdoc/>
    public long ValueCount => _tensors.Tensors.Sum(t => t.Count);

    /// <summary>The tokenizer, or null when there is none that can be read. The weights do not depend on it.</summary>
    public Gpt2Tokenizer? Tokenizer { get; }

    ITokenizer? IModelFolder.Tokenizer => Tokenizer;

    EncoderSettings? IModelFolder.Encoder => null;

    /// <summary>Why the tokenizer that is there cannot be read, in a sentence; null when it was read, or when there is none.</summary>
    public string? TokenizerProblem { get; }

    /// <summary>
    /// Which ids end a text: <c>eos_token_id</c> of generation_config.json, else of config.json, else the <c>eos_token</c> that the
    /// tokenizer's files name, else the tokenizer's own; and which stand for nothing.
    /// </summary>
    public ModelTokens Tokens =>
        new ModelTokens { EndTokens = _ends ?? EndTokenFiles.Named(Path, Tokenizer, Config.Vocabulary) }.With(Tokenizer, Config.Vocabulary);

    /// <summary>The tensors as they are stored.</summary>
    internal SafetensorsSet Tensors => _tensors;

    /// <summary>Opens a folder and checks everything but the values of the weights.</summary>
    /// <param name="path">The folder.</param>
    /// <exception cref="RbeFileException">
    /// A file of the weights is missing or damaged, the configuration asks for something that is not computed here, tensors are missing,
    /// left over, or of another shape or type than the configuration says, or a head beside a tied configuration is not the token embedding.
    /// </exception>
    public static Gpt2Directory Open(string path)
    {
        string configuration = ModelFolders.ConfigurationOf(path);
        string? type = ModelFolders.TypeOf(configuration);
        if (type is not (null or Gpt2ConfigJson.ModelType)) throw ModelFolders.Foreign(configuration, type, Gpt2ConfigJson.ModelType);
        SafetensorsSet tensors = SafetensorsSet.Open(path, Gpt2TensorNames.MayBeShared);
        try
        {
            if (type is null && !Gpt2TensorNames.AreGpt2(tensors))
            {
                throw new RbeFileException(configuration, "has no model_type, and its tensors have not the names of a GPT-2's. Give a GPT-2 directory.");
            }

            TransformerConfig config = Gpt2ConfigJson.Read(configuration);
            Gpt2TensorNames names = Gpt2TensorNames.Match(tensors, config);
            string embedding = names[Gpt2TensorNames.TokenEmbedding], head = names[Gpt2TensorNames.Head];
            if (config.TiedHead && names.HasOwnHead && !TensorReading.AreEqual(tensors, head, embedding))
            {
                throw new RbeFileException(path,
                    $"{Gpt2ConfigJson.FileName} ties the head to the token embedding, but {head} differs from {embedding}. Set tie_word_embeddings to "
                        + $"false to use the head, or remove it.");
            }

            return new Gpt2Directory(path, tensors, names, EndTokenFiles.Read(path, config.Vocabulary));
        }
        catch
        {
            tensors.Dispose();
            throw;
        }
    }

    /// <summary>The weights of a block.</summary>
    /// <param name="layer">0 .. layers - 1.</param>
    /// <exception cref="NonFiniteException">A weight is NaN or infinite.</exception>
    /// <exception cref="RbeFileException">The file cannot be read.</exception>
    public DenseBlockWeights ReadBlock(int layer)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(layer);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(layer, Config.Layers);
        int d = Config.Width;
        float[][] attention = Linear("attn.c_attn", 3);
        float[] biases = Vector("attn.c_attn.bias");
        return new DenseBlockWeights
        {
            Query = attention[0],
            Key = attention[1],
            Value = attention[2],
            Output = Linear("attn.c_proj", 1)[0],
            UpProjection = Linear("mlp.c_fc", 1)[0],
            DownProjection = Linear("mlp.c_proj", 1)[0],
            Vectors = new BlockVectors
            {
                QueryBias = biases[..d],
                KeyBias = biases[d..(2 * d)],
                ValueBias = biases[(2 * d)..],
                OutputBias = Vector("attn.c_proj.bias"),
                UpProjectionBias = Vector("mlp.c_fc.bias"),
                DownProjectionBias = Vector("mlp.c_proj.bias"),
                Gamma1 = Vector("ln_1.weight"),
                Beta1 = Vector("ln_1.bias"),
                Gamma2 = Vector("ln_2.weight"),
                Beta2 = Vector("ln_2.bias"),
            },
        };

        float[][] Linear(string part, int parts) =>
            TensorReading.Linear(_tensors, _names[Gpt2TensorNames.Part(layer, part) + ".weight"], _names.Transposed, parts);

        float[] Vector(string part) => TensorReading.Values(_tensors, _names[Gpt2TensorNames.Part(layer, part)]);
    }

    /// <summary>[V, D] row-major.</summary>
    /// <inheritdoc cref="ReadBlock"/>
    public float[] ReadTokenEmbedding() => TensorReading.Values(_tensors, _names[Gpt2TensorNames.TokenEmbedding]);

    /// <summary>[positions, D] row-major.</summary>
    /// <inheritdoc cref="ReadBlock"/>
    public float[] ReadPositionEmbedding() => TensorReading.Values(_tensors, _names[Gpt2TensorNames.PositionEmbedding]);

    /// <summary>Gamma [D] and beta [D] of the last LayerNorm.</summary>
    /// <inheritdoc cref="ReadBlock"/>
    public (float[] Gamma, float[] Beta) ReadFinalNorm() =>
        (TensorReading.Values(_tensors, _names[Gpt2TensorNames.FinalNorm + ".weight"]),
            TensorReading.Values(_tensors, _names[Gpt2TensorNames.FinalNorm + ".bias"]));

    /// <summary>[V, D] row-major, or null when the head is tied to the token embedding.</summary>
    /// <inheritdoc cref="ReadBlock"/>
    public float[]? ReadHead() => Config.TiedHead ? null : TensorReading.Values(_tensors, _names[Gpt2TensorNames.Head]);

    /// <summary>None: a GPT-2's tokens are of one type.</summary>
    public float[]? ReadTokenTypes() => null;

    /// <inheritdoc/>
    public void Dispose() => _tensors.Dispose();
}
