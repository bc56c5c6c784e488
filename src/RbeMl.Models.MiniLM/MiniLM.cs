using RbeMl.Files;

namespace RbeMl.Models;

/// <summary>
/// The sentence encoder all-MiniLM-L6-v2 with four bits a weight, which is in this library: English texts become vectors of 384 numbers and
/// length 1, whose dot product says how near they are in meaning.
/// </summary>
public static class MiniLM
{
    private const string ModelName = "minilm.rbe", NoticeName = "NOTICE.txt";

    /// <summary>Where the weights come from, and their licences.</summary>
    public static string Notice
    {
        get
        {
            using StreamReader reader = new(Resource(NoticeName));
            return reader.ReadToEnd();
        }
    }

    /// <summary>Loads the encoder.</summary>
    /// <param name="threads">Threads of a call; 0 for one a processor.</param>
    /// <exception cref="InvalidSettingException">The threads are out of range.</exception>
    public static SentenceEncoder Load(int threads = 0)
    {
        using Stream stream = OpenModel();
        return new SentenceEncoder(ModelFile.Load(stream, ModelName), threads);
    }

    /// <summary>The <c>.rbe</c> file of the model, for what takes a file: write it where it is needed.</summary>
    public static Stream OpenModel() => Resource(ModelName);

    private static Stream Resource(string name) => typeof(MiniLM).Assembly.GetManifestResourceStream(name)!;
}
